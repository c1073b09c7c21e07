//! Envoy's ext_proc v3: the door that sees bodies of requests and of responses, so that the call after a poisoned
//! result is judged knowing it.
//!
//! Requests are judged at their body (`BUFFERED` or `BUFFERED_PARTIAL`), or at their headers when they have none or
//! Envoy does not send it. Responses are read as they stream by and never held up: a JSON body when it ends, server-sent
//! events one by one.

mod exchange; // one HTTP request and its response
mod reply; // messages to Envoy

use super::state::AppState;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use exchange::Exchange;
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

pub(super) fn service(state: Arc<AppState>, bytes_max: usize) -> ExternalProcessorServer<impl ExternalProcessor> {
    ExternalProcessorServer::new(Processor(state)).max_decoding_message_size(bytes_max)
}

struct Processor(Arc<AppState>);

#[tonic::async_trait]
impl ExternalProcessor for Processor {
    type ProcessStream = BoxStream<'static, Result<ProcessingResponse, Status>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let exchange = Exchange::new(Arc::clone(&self.0), request.metadata());
        let messages = request.into_inner();
        let replies = unfold(Some((exchange, messages)), |open| async move {
            let (mut exchange, mut messages) = open?;
            // Envoy went away, or the exchange is over: either ends the stream.
            let message = messages.message().await.ok()??;
            match exchange.step(message).await {
                Ok(reply) => Some((Ok(reply), Some((exchange, messages)))),
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(replies.boxed()))
    }
}
