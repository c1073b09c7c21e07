//! Which certificate opens which route: every pair, printed.

use crate::common::{START, desk};
use cert_manager::Digest;
use cert_manager::bundle::Kind;
use cert_manager::desk::peer::{DevicePeer, DeviceStanding};
use cert_manager::desk::{Peer, Route};
use cert_manager::http::Request;
use cert_manager::time::Span;

const ROUTES: [Route; 14] = [
    Route::Manifest(Kind::Model),
    Route::Content(Kind::Model, 1, 0),
    Route::Crl(None),
    Route::Status,
    Route::CaCerts,
    Route::CsrAttributes,
    Route::Enrol,
    Route::Renew,
    Route::Time,
    Route::Trust(1),
    Route::RenewalInfo,
    Route::Probe,
    Route::Fleet,
    Route::Metrics,
];

fn peers() -> Vec<(&'static str, Peer)> {
    let device = |standing| {
        Peer::Device(DevicePeer {
            name: "dev-9".parse().unwrap(),
            key: Digest::of(b"k"),
            until: START + Span::days(1),
            fingerprint: Digest::of(b"c"),
            standing,
        })
    };
    let factory = Peer::Factory { name: "dev-9".parse().unwrap(), key: Digest::of(b"f"), class: "default".into() };
    vec![
        ("anonymous", Peer::Anonymous),
        ("stranger", Peer::Stranger),
        ("factory", factory),
        ("current", device(DeviceStanding::Current)),
        ("quarantine", device(DeviceStanding::Quarantine)),
        ("expired", device(DeviceStanding::Expired)),
        ("revoked", device(DeviceStanding::Revoked)),
        ("operator", Peer::Operator { name: "ada".parse().unwrap() }),
    ]
}

/// Who may use each route, written independently of the table in the code.
fn documented(route: Route) -> &'static [&'static str] {
    match route {
        Route::CaCerts | Route::CsrAttributes | Route::Time | Route::Trust(_) | Route::Crl(_) | Route::Status => {
            &["anonymous", "stranger", "factory", "current", "quarantine", "expired", "revoked", "operator"]
        }
        Route::Enrol => &["anonymous", "factory"],
        Route::Renew => &["current", "quarantine", "expired", "revoked"],
        Route::RenewalInfo | Route::Probe => &["current", "quarantine"],
        Route::Manifest(_) | Route::Content(..) => &["current"],
        Route::Fleet | Route::Metrics => &["operator"],
    }
}

fn request(route: Route) -> Request {
    let est = |name: &str| format!("/.well-known/est/{name}");
    match route {
        Route::CaCerts => Request::get(est("cacerts")),
        Route::CsrAttributes => Request::get(est("csrattrs")),
        Route::Enrol => Request::post(est("simpleenroll"), "application/pkcs10", vec![]),
        Route::Renew => Request::post(est("simplereenroll"), "application/pkcs10", vec![]),
        Route::Time => Request::post("/v1/time", "application/json", vec![]),
        Route::Trust(n) => Request::get(format!("/v1/trust/{n}")),
        Route::Crl(_) => Request::get("/v1/crl"),
        Route::Status => Request::get("/v1/status"),
        Route::Manifest(_) => Request::get("/v1/bundles/model"),
        Route::Content(..) => Request::get("/v1/bundles/model/1/0"),
        Route::RenewalInfo => Request::get("/v1/renewal-info"),
        Route::Probe => Request::post("/v1/probe", "application/json", vec![]),
        Route::Fleet => Request::get("/v1/fleet"),
        Route::Metrics => Request::get("/metrics"),
    }
}

#[test]
fn no_certificate_opens_a_route_it_should_not() {
    let (desk, _) = desk();
    println!("| route | open to |\n|---|---|");
    for route in ROUTES {
        let request = request(route);
        assert_eq!(Route::of(&request), Some(route));
        let open: Vec<_> = peers()
            .into_iter()
            .filter(|(_, peer)| {
                let response = desk.answer(peer, &request, START);
                let shut = response.status == 403 && response.body.starts_with(b"this certificate may not")
                    || response.body.starts_with(b"a client certificate is needed");
                assert_eq!(!shut, route.open_to(peer), "{route:?} {peer:?}");
                !shut
            })
            .map(|(name, _)| name)
            .collect();
        println!("| {route:?} | {} |", open.join(", "));
        assert_eq!(open, documented(route), "{route:?}");
    }
}

#[test]
fn paths_that_are_not_routes_are_404() {
    let (desk, _) = desk();
    for path in [
        "/",
        "/v1/trust/",
        "/v1/trust/x",
        "/v1/trust/-1",
        "/.well-known/est/",
        "/.well-known/est/cacerts/x",
        "/v1/fleet/",
    ] {
        assert_eq!(desk.answer(&Peer::Anonymous, &Request::get(path), START).status, 404, "{path}");
    }
    assert_eq!(desk.answer(&Peer::Anonymous, &Request::get("/v1/trust/2"), START).status, 404);
}
