# Runs one Kafka node until standard input closes, which it does when the test that started it has ended, however it
# ended: then kills the node by its pid and removes its folder. `unsafe` is forbidden to us, so no parent-death signal.
#
# usage: sh -c "$(cat node.sh)" node FOLDER JARS     FOLDER holds server.properties and gets the log
folder=$1
jars=$2

# Ctrl-C reaches the whole group; this script has to outlive it to clean up.
trap '' INT HUP TERM
exec 3<&0

# -XX flags: a quick start and little memory matter here, peak throughput does not.
flags='-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData'
# A node that was here before goes on with what it has.
if [ ! -e "$folder/data/meta.properties" ]; then
    set -- --standalone -t VedetteTestClusterId0A -c "$folder/server.properties"
    [ ! -e "$folder/scram" ] || set -- "$@" --add-scram "$(cat "$folder/scram")"
    java $flags -cp "$jars/*" kafka.tools.StorageTool format "$@" >"$folder/log" 2>&1 </dev/null 3<&- || exit 1
fi
java $flags -cp "$jars/*" kafka.Kafka "$folder/server.properties" >>"$folder/log" 2>&1 </dev/null 3<&- &
broker=$!
echo "$broker" >"$folder/pid"
{ cat >/dev/null; kill -9 "$broker"; } <&3 &
watcher=$!

wait "$broker"
status=$?
kill "$watcher" 2>/dev/null
# 137: killed above. Anything else: it ended by itself, and the folder stays so that the test can show the log.
[ "$status" = 137 ] && [ ! -e "$folder/restarting" ] && rm -rf "$folder"
exit "$status"
