//! What comes of a request to those who keep their state in a log: Kafka's ControllerResult and CoordinatorResult.
//!
//! A part decides with `&self`; the records are appended; only replaying them changes the state. So the state is always the
//! fold of a log, and what was decided but not committed can be taken back.

/// Records to append, and the response that is due once they are committed.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision<Rec, R> {
    /// In order; they commit together or not at all.
    pub records: Vec<Rec>,
    /// Told after the commit.
    pub response: R,
}

impl<Rec, R> Decision<Rec, R> {
    /// Records and a response.
    pub fn new(records: Vec<Rec>, response: R) -> Decision<Rec, R> {
        Decision { records, response }
    }

    /// A response without records.
    pub fn answer(response: R) -> Decision<Rec, R> {
        Decision::new(Vec::new(), response)
    }

    /// The same records with another response.
    pub fn map<S>(self, f: impl FnOnce(R) -> S) -> Decision<Rec, S> {
        Decision::new(self.records, f(self.response))
    }
}
