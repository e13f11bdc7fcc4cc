//! Three Kafka nodes on loopback, in a folder of their own: started here, known by their process ids, and ended here whatever
//! comes.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};

use super::{Java, finish};

/// The nodes; they end with this value.
pub struct Cluster {
    nodes: Vec<Node>,
    folder: PathBuf,
}

struct Node {
    port: u16,
    process: Child,
}

impl Cluster {
    /// Formats and starts them. Nobody waits until they are up: who asks does.
    pub fn start(java: &Java) -> Result<Cluster> {
        let folder = std::env::temp_dir().join(format!("klab-oracle-{}", std::process::id()));
        fs::create_dir_all(&folder).context("making a folder for the brokers")?;
        let mut cluster = Cluster {
            nodes: Vec::new(),
            folder,
        };
        let ports = free_ports::<4>()?;
        for id in 1..=3 {
            let process = cluster.start_node(java, id, ports)?;
            println!("broker {id}: process {}", process.id());
            cluster.nodes.push(Node {
                port: ports[id],
                process,
            });
        }
        Ok(cluster)
    }

    fn start_node(&self, java: &Java, id: usize, ports: [u16; 4]) -> Result<Child> {
        let file = self.folder.join(format!("{id}.properties"));
        fs::write(&file, properties(id, ports, &self.folder)).context("writing properties")?;
        let mut format = java.command(128);
        format
            .args(["kafka.tools.StorageTool", "format"])
            .args(["--cluster-id", "AAAAAAAAAAAAAAAAAAAAAQ"])
            .args(["--feature", "eligible.leader.replicas.version=0"])
            .arg("--config")
            .arg(&file);
        finish(&mut format)?;
        let log = |kind: &str| File::create(self.folder.join(format!("{id}.{kind}")));
        java.command(256)
            .arg("kafka.Kafka")
            .arg(&file)
            .stdout(Stdio::from(log("out")?))
            .stderr(Stdio::from(log("err")?))
            .spawn()
            .context("starting a broker")
    }

    /// Where they listen.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// Kills one: it says nothing to anybody.
    pub fn kill(&mut self, id: usize) -> Result<()> {
        let process = &mut self.nodes[id - 1].process;
        if let Some(status) = process.try_wait()? {
            bail!("broker {id} had ended by itself: {status}");
        }
        process.kill().context("killing a broker")?;
        process.wait().context("waiting for its end")?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // One that is gone already is what we want.
            let _ = node.process.kill();
            let _ = node.process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Node 1 is the controller too. All else is Kafka's default.
fn properties(id: usize, ports: [u16; 4], folder: &Path) -> String {
    let (controller, mine) = (ports[0], ports[id]);
    let (roles, also) = match id {
        1 => (
            "broker,controller",
            format!(",CONTROLLER://127.0.0.1:{controller}"),
        ),
        _ => ("broker", String::new()),
    };
    let data = folder.join(format!("data-{id}"));
    format!(
        "process.roles={roles}\n\
         node.id={id}\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         listeners=PLAINTEXT://127.0.0.1:{mine}{also}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{mine}\n\
         log.dirs={}\n",
        data.display()
    )
}

/// Ports of loopback on which nobody listens.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held at once, so that they differ.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
