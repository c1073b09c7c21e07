"""Enrols through acme2certifier's EST handler, as its ACME server would: argv = URL, CA bundle, token, CSR (base64url).

Prints the certificate (base64 DER) that the handler hands to its ACME client.
"""

import logging
import sys

import requests
from acme2certifier.cahandlers.est_ca_handler import CAhandler

host, bundle, token, csr = sys.argv[1:]
handler = CAhandler(logger=logging.getLogger("est"))
# What `_config_load` would take from acme_srv.cfg: est_host, est_user, est_password, ca_bundle.
handler.est_host = host + "/.well-known/est"
handler.est_user, handler.est_password, handler.ca_bundle = "any", token, bundle
handler.session = requests.Session()
error, chain, certificate, _ = handler.enroll(csr)
if error or not chain:
    sys.exit(f"refused: {error}")
assert chain.count("BEGIN CERTIFICATE") >= 2, chain
print(certificate)
