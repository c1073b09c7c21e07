//! What it was measured on, and beside what.

use std::process::Command;

/// Prints processor, cores, load and the processes that take most of it.
pub fn print() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "machine   {}, {cores} cores, load {}",
        model.trim_start_matches(['\t', ':', ' ']),
        read("/proc/loadavg").trim()
    );
    let top = Command::new("ps").args(["-eo", "pcpu,comm", "--sort=-pcpu", "--no-headers"]).output();
    let top = top.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let busy: Vec<&str> = top.lines().map(str::trim).filter(|line| !line.ends_with(" ps")).take(4).collect();
    println!("          busiest so far (% of a core since their start): {}", busy.join(", "));
}
