//! Section 1: metadata, and what of the frame is the inner packet.

use tp_pipeline::DropReason;
use tp_pipeline::abi::{IngressKind, META_MAGIC, Meta};

use super::Arrival;
use super::inner::{Addresses, Family, Inner};
use super::outer;
use crate::reference::bytes::Bytes;

pub(super) fn parse(arrival: &Arrival<'_>) -> Result<(Meta, IngressKind, Inner), DropReason> {
    let meta = arrival.meta.ok_or(DropReason::BadMetadata)?;
    let kind = check(&meta, arrival).ok_or(DropReason::BadMetadata)?;
    let inner = match kind {
        IngressKind::OuterFragment => return Err(DropReason::OuterFragment),
        IngressKind::OuterIcmp | IngressKind::OuterIcmpUpstream => {
            return Err(DropReason::OuterIcmp);
        }
        IngressKind::Upstream | IngressKind::L2Client => bare(&meta, arrival.frame)?,
        IngressKind::Tunnel | IngressKind::UpstreamTunnel => outer::parse(&meta, arrival.frame)?,
    };
    Ok((meta, kind, inner))
}

fn check(meta: &Meta, arrival: &Arrival<'_>) -> Option<IngressKind> {
    let fine = meta.magic == META_MAGIC
        && meta.port == arrival.port
        && meta.l3_off <= meta.l4_off
        && meta.l3_off <= meta.inner_off
        && usize::from(meta.l4_off) <= arrival.frame.len()
        && usize::from(meta.inner_off) <= arrival.frame.len();
    let kind = IngressKind::from_u8(meta.ingress)?;
    fine.then_some(kind)
}

/// The packet of a frame without outer headers.
fn bare(meta: &Meta, frame: &[u8]) -> Result<Inner, DropReason> {
    if meta.inner_off != meta.l3_off || meta.l3_off < 14 {
        return Err(DropReason::BadMetadata);
    }
    let start = usize::from(meta.l3_off);
    let read = Bytes(frame);
    let (Ok(ethertype), Ok(destination), Ok(source)) =
        (read.u16(start - 2), read.mac(0), read.mac(6))
    else {
        unreachable!("l3_off is not beyond the frame's end");
    };
    let family = Family::of_ethertype(ethertype).ok_or(DropReason::BadMetadata)?;
    let mut inner = Inner::read(family, frame, start)?;
    inner.addresses = Some(Addresses {
        destination,
        source,
    });
    Ok(inner)
}
