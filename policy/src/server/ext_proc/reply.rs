//! Messages to Envoy.

use super::super::envoy::metadata;
use super::super::judge::Judged;
use crate::Answer;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, HeaderMutation, HeadersResponse, ImmediateResponse, ProcessingResponse, TrailersResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

fn go_on(response: Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }
}

pub(super) fn request_headers() -> ProcessingResponse {
    go_on(Response::RequestHeaders(HeadersResponse::default()))
}

pub(super) fn request_body() -> ProcessingResponse {
    go_on(Response::RequestBody(BodyResponse::default()))
}

pub(super) fn response_headers() -> ProcessingResponse {
    go_on(Response::ResponseHeaders(HeadersResponse::default()))
}

pub(super) fn response_body() -> ProcessingResponse {
    go_on(Response::ResponseBody(BodyResponse::default()))
}

pub(super) fn request_trailers() -> ProcessingResponse {
    go_on(Response::RequestTrailers(TrailersResponse::default()))
}

pub(super) fn response_trailers() -> ProcessingResponse {
    go_on(Response::ResponseTrailers(TrailersResponse::default()))
}

/// With the decision as dynamic metadata, in the namespace `vedette`.
pub(super) fn with_metadata(reply: ProcessingResponse, judged: &Judged) -> ProcessingResponse {
    let inner = Value { kind: Some(Kind::StructValue(metadata::of(judged))) };
    let outer = Struct { fields: [("vedette".to_owned(), inner)].into() };
    ProcessingResponse { dynamic_metadata: Some(outer), ..reply }
}

/// The request ends here, with `answer`.
pub(super) fn stop(answer: Answer, judged: &Judged) -> ProcessingResponse {
    let set_headers = answer.headers.into_iter().map(|(name, value)| HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), raw_value: value.into_bytes(), ..HeaderValue::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
        ..HeaderValueOption::default()
    });
    let immediate = ImmediateResponse {
        status: Some(HttpStatus { code: i32::from(answer.status) }),
        headers: Some(HeaderMutation { set_headers: set_headers.collect(), remove_headers: vec![] }),
        body: answer.body.into_bytes(),
        grpc_status: None,
        details: "vedette".to_owned(),
    };
    with_metadata(go_on(Response::ImmediateResponse(immediate)), judged)
}
