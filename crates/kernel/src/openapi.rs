//! How the value types look in the OpenAPI document: the same text forms that serde writes.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::{
    AccountId, Amount, ApprovalId, ArtefactId, ChallengeId, DeedId, DepositId, DeviceId, DisputeId,
    Energy, Epoch, HoldId, IncidentId, JobId, JoinTokenId, KeyId, LeaseId, NodeId, NoticeId,
    PayoutId, PricePerSecond, QuoteId, RecordingId, SearchId, Seconds, SessionId, Timestamp,
    TransferId, WebhookId,
};

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
}

fn whole(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0))
        .description(Some(description))
        .into()
}

macro_rules! schema {
    ($($name:ident => $schema:expr;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }
        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )*};
}

macro_rules! id_schema {
    ($($name:ident)*) => {schema! {$(
        $name => text("An id: its kind and 32 hexadecimal digits")
            .pattern(Some(format!("^{}_[0-9a-f]{{32}}$", $name::PREFIX)))
            .into();
    )*}};
}

id_schema! {
    DeedId DepositId PayoutId DisputeId IncidentId ApprovalId AccountId SessionId KeyId JoinTokenId NodeId DeviceId JobId LeaseId HoldId TransferId QuoteId SearchId NoticeId WebhookId ArtefactId ChallengeId RecordingId
}

schema! {
    Amount => text("Base units as a string; 1 IO = 100000000 base units").pattern(Some("^[0-9]{1,17}$")).into();
    PricePerSecond => text("Base units for one second of one device, as a string").pattern(Some("^[0-9]{1,17}$")).into();
    Timestamp => text("RFC 3339, UTC")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .into();
    Seconds => whole("Whole seconds");
    Energy => whole("Millijoules; 1 kWh = 3600000000");
    Epoch => whole("How often the job has been given to a node");
}
