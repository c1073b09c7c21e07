//! `agentgateway.dev.ext_mcp.ExtMcp` as tonic serves it: what its code generator would write for two unary methods.

use super::message::{McpRequest, McpResponse, McpResult};
use super::{AppState, Mcp};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

pub(in crate::server) fn service(state: Arc<AppState>, bytes_max: usize) -> ExtMcp {
    ExtMcp { door: Arc::new(Mcp::new(state)), bytes_max }
}

#[derive(Clone)]
pub(in crate::server) struct ExtMcp {
    door: Arc<Mcp>,
    bytes_max: usize,
}

impl NamedService for ExtMcp {
    const NAME: &'static str = "agentgateway.dev.ext_mcp.ExtMcp";
}

impl<B> Service<http::Request<B>> for ExtMcp
where
    B: tonic::codegen::Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let Self { door, bytes_max } = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/agentgateway.dev.ext_mcp.ExtMcp/CheckRequest" => {
                    let mut grpc = Grpc::new(ProstCodec::<McpResult, McpRequest>::default());
                    grpc = grpc.apply_max_message_size_config(Some(bytes_max), None);
                    grpc.unary(CheckRequest(door), request).await
                }
                "/agentgateway.dev.ext_mcp.ExtMcp/CheckResponse" => {
                    let mut grpc = Grpc::new(ProstCodec::<McpResult, McpResponse>::default());
                    grpc = grpc.apply_max_message_size_config(Some(bytes_max), None);
                    grpc.unary(CheckResponse(door), request).await
                }
                _ => Status::unimplemented("ExtMcp has CheckRequest and CheckResponse").into_http(),
            })
        })
    }
}

struct CheckRequest(Arc<Mcp>);

impl UnaryService<McpRequest> for CheckRequest {
    type Response = McpResult;
    type Future = BoxFuture<Response<McpResult>, Status>;

    fn call(&mut self, request: Request<McpRequest>) -> Self::Future {
        let door = Arc::clone(&self.0);
        Box::pin(async move { Ok(Response::new(door.check_request(request.into_inner()).await?.into())) })
    }
}

struct CheckResponse(Arc<Mcp>);

impl UnaryService<McpResponse> for CheckResponse {
    type Response = McpResult;
    type Future = BoxFuture<Response<McpResult>, Status>;

    fn call(&mut self, request: Request<McpResponse>) -> Self::Future {
        let door = Arc::clone(&self.0);
        Box::pin(async move { Ok(Response::new(door.check_response(request.into_inner()).await.into())) })
    }
}
