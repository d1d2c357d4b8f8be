//! The webhooks' bodies, serialised once and delivered as they are.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::wire::{
    DisputeBody, DisputeData, DisputeStatus, EventBody, IntentBody, IntentData, RefundBody,
    RefundData,
};

fn event(kind: &str, data: impl Serialize) -> Bytes {
    let id = format!("evt_{}", Uuid::now_v7().simple());
    let body = EventBody { id, kind: kind.to_owned(), created: Timestamp::now(), data };
    Bytes::from(serde_json::to_vec(&body).expect("events are plain data"))
}

/// An intent changed, or (with a reason) its card was refused.
pub fn intent_event(kind: &str, intent: IntentBody, reason: Option<&str>) -> Bytes {
    event(kind, IntentData { intent, reason: reason.map(str::to_owned) })
}

/// A refund was made or changed.
pub fn refund_event(refund: RefundBody) -> Bytes {
    event("refund.updated", RefundData { refund })
}

/// A dispute was opened or ended.
pub fn dispute_event(dispute: DisputeBody) -> Bytes {
    let kind = match dispute.status {
        DisputeStatus::Open => "dispute.opened",
        DisputeStatus::Won => "dispute.won",
        DisputeStatus::Lost => "dispute.lost",
    };
    event(kind, DisputeData { dispute })
}
