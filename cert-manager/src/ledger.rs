//! The server's memory of every device: who holds which key, what was issued, what was revoked.
//!
//! [`rules`] decides, purely; the store carries it out in one transaction.

pub mod apply; // rulings carried out, a batch in one transaction
pub mod credential; // one-time tokens and vouchers
pub mod line; // one device's history, as far as rules need it
pub mod pages; // devices by name, a page at a time
pub mod rules; // line and ask in, ruling out
pub mod store; // the tables, reading them, and the operator's acts

pub use apply::{Answer, Credential, Job, Office};
pub use credential::{Token, token_hash};
pub use line::{Line, Standing};
pub use pages::{Entry, Told};
pub use rules::{Ask, ClassPolicy, Grant, Refusal, Ruling, rule};
pub use store::{Ledger, LedgerError};
