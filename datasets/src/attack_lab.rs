//! Attackers who adapt: hijacks that are reworded and moved until a scorer overlooks them ([`search`]), and published
//! algorithms that copy a model through its API ([`extraction`], [`victim`]). The lab knows no detector: whoever runs it hands in a
//! scorer as a closure. Everything comes from a seed.

pub mod extraction; // queries that copy a model
pub mod hijack; // someone else's task put into a result
pub mod search; // tries, each a little less suspicious
pub mod victim; // the model that is copied
