//! What was before: who led a partition until its last change of leader, and how a topic was called that is gone. Selectors and
//! sentences speak of both, and no image has them any more.

use std::sync::Arc;

use klab_kafka::event::{ControllerEvent, Event};
use klab_kafka::ids::TopicIdPartition;

use crate::process::ProcessId;
use crate::view::View;
use crate::world::World;

impl World {
    /// Takes note of what a controller tells.
    pub(crate) fn note_leader(&mut self, event: &Event) {
        let Event::Controller(event) = event else {
            return;
        };
        match event {
            ControllerEvent::TopicCreated { name, .. }
            | ControllerEvent::PartitionsCreated { name, .. } => self.note_first_leaders(name),
            ControllerEvent::TopicDeleted { name, id } => {
                self.former_topics.insert(*id, name.clone());
            }
            ControllerEvent::LeaderElected {
                partition, leader, ..
            } => {
                let new = leader.and_then(|n| View::new(self).process_of(n));
                let old = match new {
                    Some(new) => self.leaders.insert(*partition, new),
                    None => self.leaders.remove(partition),
                };
                if let Some(old) = old.filter(|o| Some(*o) != new) {
                    self.former_leaders.insert(*partition, old);
                }
            }
            _ => {}
        }
    }

    /// A partition comes with its first leader: nobody elects it.
    fn note_first_leaders(&mut self, name: &Arc<str>) {
        let view = View::new(self);
        let Some((topic, image)) = view.image().and_then(|i| Some((*i.names.get(name)?, i))) else {
            return;
        };
        let led = image.topics[&topic].partitions.iter().filter_map(|(i, p)| {
            let partition = *i;
            let leader = view.process_of(p.leader?)?;
            Some((TopicIdPartition { topic, partition }, leader))
        });
        let led: Vec<(TopicIdPartition, ProcessId)> = led.collect();
        for (partition, leader) in led {
            self.leaders.entry(partition).or_insert(leader);
        }
    }
}
