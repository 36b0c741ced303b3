//! The part of ethtool's generic netlink family that ports need (linux/ethtool_netlink.h):
//! queues, and device features. Requests block for the kernel's answer, which takes microseconds
//! for reading and as long as the driver needs for setting.

use std::collections::BTreeSet;
use std::io;

use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NLA_TYPE_MASK, NLM_F_ACK, NLM_F_REQUEST,
    NetlinkDeserializable, NetlinkMessage, NetlinkPayload, NetlinkSerializable, Nla, NlasIterator,
    Parseable, ParseableParametrized,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use thiserror::Error;

const FEATURES_GET: u8 = 11;
const FEATURES_SET: u8 = 12;
const CHANNELS_GET: u8 = 17;

/// `ETHTOOL_A_*_HEADER`: the first attribute of every message.
const HEADER: u16 = 1;
const HEADER_DEV_INDEX: u16 = 1;
const HEADER_DEV_NAME: u16 = 2;

const FEATURES_WANTED: u16 = 3;
const FEATURES_ACTIVE: u16 = 4;
const BITSET_BITS: u16 = 3;
const BITSET_BITS_BIT: u16 = 1;
const BITSET_BIT_NAME: u16 = 2;
const BITSET_BIT_VALUE: u16 = 3;

const CHANNELS_RX_COUNT: u16 = 6;
const CHANNELS_TX_COUNT: u16 = 7;
const CHANNELS_COMBINED_COUNT: u16 = 9;

/// Why ethtool gave no answer.
#[derive(Debug, Error)]
pub enum EthtoolError {
    /// The socket failed.
    #[error("the generic netlink socket failed")]
    Socket(#[source] io::Error),
    /// The kernel refused.
    #[error("the kernel refused: {0}")]
    Refused(#[source] io::Error),
    /// The kernel's answer is not understood.
    #[error("the kernel's answer is not understood")]
    Answer(#[source] DecodeError),
    /// The kernel has no ethtool over netlink (Linux 5.6).
    #[error("the kernel has no ethtool family")]
    NoFamily,
}

/// Queues that a device has, not those that it could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// Receive queues.
    pub rx: u32,
    /// Transmit queues.
    pub tx: u32,
}

/// Names of device features (net/ethtool/common.c, `netdev_features_strings`).
pub(super) type Features = BTreeSet<String>;

/// A connection to ethtool in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Ethtool {
    socket: Socket,
    family: u16,
    sequence: u32,
}

impl Ethtool {
    /// Opens a connection.
    ///
    /// # Errors
    /// [`EthtoolError`]: no socket, or a kernel without the family.
    pub fn open() -> Result<Self, EthtoolError> {
        let mut socket = Socket::new(NETLINK_GENERIC).map_err(EthtoolError::Socket)?;
        socket.bind_auto().map_err(EthtoolError::Socket)?;
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(EthtoolError::Socket)?;
        let mut ethtool = Self {
            socket,
            family: 0,
            sequence: 0,
        };
        ethtool.family = ethtool.resolve_family()?;
        Ok(ethtool)
    }

    /// The queues of a device.
    ///
    /// # Errors
    /// [`EthtoolError::Refused`]: no such device, or its driver does not tell.
    pub fn queues(&mut self, ifindex: u32) -> Result<Queues, EthtoolError> {
        let attributes = self.ask(CHANNELS_GET, vec![header(ifindex, None)])?;
        let count = |wanted| -> u32 {
            let found = attributes
                .iter()
                .find(|attribute| kind(attribute) == wanted);
            let value = found.map(value).and_then(|bytes| bytes.try_into().ok());
            value.map_or(0, u32::from_ne_bytes)
        };
        let combined = count(CHANNELS_COMBINED_COUNT);
        Ok(Queues {
            rx: combined + count(CHANNELS_RX_COUNT),
            tx: combined + count(CHANNELS_TX_COUNT),
        })
    }

    /// The features that are on. Index and name are one device's, or it is refused with ENODEV.
    pub(super) fn active_features(
        &mut self,
        ifindex: u32,
        device: &str,
    ) -> Result<Features, EthtoolError> {
        let attributes = self.ask(FEATURES_GET, vec![header(ifindex, Some(device))])?;
        match attributes
            .iter()
            .find(|attribute| kind(attribute) == FEATURES_ACTIVE)
        {
            Some(bitset) => names(&value(bitset)),
            None => Ok(Features::new()),
        }
    }

    /// Wants these features on or off; what became of it, [`Self::active_features`] tells.
    pub(super) fn set_features<'a>(
        &mut self,
        ifindex: u32,
        device: &str,
        names: impl Iterator<Item = &'a str>,
        on: bool,
    ) -> Result<(), EthtoolError> {
        let bit = |name: &str| {
            let mut attributes = vec![string(BITSET_BIT_NAME, name)];
            if on {
                attributes.push(DefaultNla::new(BITSET_BIT_VALUE, Vec::new()));
            }
            nested(BITSET_BITS_BIT, &attributes)
        };
        let bits: Vec<DefaultNla> = names.map(bit).collect();
        let wanted = nested(FEATURES_WANTED, &[nested(BITSET_BITS, &bits)]);
        self.ask(FEATURES_SET, vec![header(ifindex, Some(device)), wanted])
            .map(drop)
    }

    fn resolve_family(&mut self) -> Result<u16, EthtoolError> {
        let question = GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(Message::family_name().to_owned())],
        };
        let answers = match self.exchange(GenlMessage::from_payload(question)) {
            Err(EthtoolError::Refused(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(EthtoolError::NoFamily);
            }
            answers => answers?,
        };
        let mut attributes = answers.into_iter().flat_map(|answer: GenlCtrl| answer.nlas);
        attributes
            .find_map(|attribute| match attribute {
                GenlCtrlAttrs::FamilyId(id) => Some(id),
                _ => None,
            })
            .ok_or(EthtoolError::NoFamily)
    }

    fn ask(
        &mut self,
        command: u8,
        attributes: Vec<DefaultNla>,
    ) -> Result<Vec<DefaultNla>, EthtoolError> {
        let mut message = GenlMessage::from_payload(Message {
            command,
            attributes,
        });
        message.set_resolved_family_id(self.family);
        let answers: Vec<Message> = self.exchange(message)?;
        Ok(answers
            .into_iter()
            .flat_map(|answer| answer.attributes)
            .collect())
    }

    /// Sends a request and gathers its answers up to the acknowledgement.
    fn exchange<F>(&mut self, message: GenlMessage<F>) -> Result<Vec<F>, EthtoolError>
    where
        F: GenlFamily + Emitable + ParseableParametrized<[u8], GenlHeader> + std::fmt::Debug,
        GenlMessage<F>: NetlinkSerializable + NetlinkDeserializable<Error = DecodeError>,
    {
        self.sequence += 1;
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map_err(EthtoolError::Socket)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full().map_err(EthtoolError::Socket)?;
            let answer = NetlinkMessage::<GenlMessage<F>>::deserialize(&datagram)
                .map_err(EthtoolError::Answer)?;
            // Left over from a request whose answer was not understood.
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => answers.push(message.payload),
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(EthtoolError::Refused(error.to_io()));
                }
                NetlinkPayload::Error(_) => return Ok(answers),
                _ => {}
            }
        }
    }
}

/// Which device; the kernel compares a name with the index (net/ethtool/netlink.c, `ethnl_parse_header_dev_get`).
fn header(ifindex: u32, device: Option<&str>) -> DefaultNla {
    let index = DefaultNla::new(HEADER_DEV_INDEX, ifindex.to_ne_bytes().to_vec());
    let name = device.map(|device| string(HEADER_DEV_NAME, device));
    let attributes: Vec<DefaultNla> = std::iter::once(index).chain(name).collect();
    nested(HEADER, &attributes)
}

fn nested(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    DefaultNla::new(kind | NLA_F_NESTED, bytes)
}

fn string(kind: u16, text: &str) -> DefaultNla {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    DefaultNla::new(kind, bytes)
}

/// The type without the flags that netlink keeps in the same field.
fn kind(attribute: &DefaultNla) -> u16 {
    attribute.kind() & NLA_TYPE_MASK
}

fn value(attribute: &DefaultNla) -> Vec<u8> {
    let mut bytes = vec![0; attribute.value_len()];
    attribute.emit_value(&mut bytes);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Vec<DefaultNla>, DecodeError> {
    NlasIterator::new(bytes)
        .map(|attribute| DefaultNla::parse(&attribute?))
        .collect()
}

/// The names of the bits of a bitset without a mask, which lists those that are set.
fn names(bitset: &[u8]) -> Result<Features, EthtoolError> {
    let mut names = Features::new();
    for bits in parse(bitset).map_err(EthtoolError::Answer)? {
        if kind(&bits) != BITSET_BITS {
            continue;
        }
        for bit in parse(&value(&bits)).map_err(EthtoolError::Answer)? {
            for attribute in parse(&value(&bit)).map_err(EthtoolError::Answer)? {
                if kind(&attribute) == BITSET_BIT_NAME {
                    let bytes = value(&attribute);
                    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                    names.insert(String::from_utf8_lossy(text).into_owned());
                }
            }
        }
    }
    Ok(names)
}

/// A message of the family `ethtool`: a command and attributes.
#[derive(Clone, Debug)]
struct Message {
    command: u8,
    attributes: Vec<DefaultNla>,
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        "ethtool"
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        Ok(Self {
            command: header.cmd,
            attributes: parse(bytes)?,
        })
    }
}
