//! The webhook over real sockets.

mod allow; // what goes through whatever the policies say
mod delegation; // chains of tokens
mod doors; // forward-auth, auth_request, ext_authz
mod ext_mcp; // agentgateway
mod limits; // TLS, keys, HTTP/2
mod openapi; // the document against what is said
mod standings; // when the owner is late
mod webhook; // the native door
