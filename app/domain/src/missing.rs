#![allow(async_fn_in_trait, unused_variables, clippy::all)]
use decnet_db::*;
use decnet_model::{id::*, query::*, view::*, fleet::*};
use time::OffsetDateTime;
pub(crate) trait Missing {
    async fn stats(&self, now: OffsetDateTime) -> Result<Stats, DbError> { unimplemented!() }
    async fn tops(&self, n: u32) -> Result<Tops, DbError> { unimplemented!() }
    async fn log_page(&self, q: &LogQuery) -> Result<Page<LogView>, DbError> { unimplemented!() }
    async fn log_get(&self, id: LogId) -> Result<Option<LogView>, DbError> { unimplemented!() }
    async fn log_histogram(&self, q: &HistogramQuery) -> Result<Vec<HistogramBucket>, DbError> { unimplemented!() }
    async fn log_after(&self, id: LogId, n: u32) -> Result<Vec<LogView>, DbError> { unimplemented!() }
    async fn log_last_id(&self) -> Result<LogId, DbError> { unimplemented!() }
    async fn attacker_page(&self, q: &AttackerQuery) -> Result<Page<AttackerView>, DbError> { unimplemented!() }
    async fn attacker_get(&self, id: AttackerId) -> Result<Option<AttackerView>, DbError> { unimplemented!() }
    async fn attacker_list(&self, id: &[AttackerId]) -> Result<Vec<AttackerView>, DbError> { unimplemented!() }
    async fn attacker_command_page(&self, id: AttackerId, l: Option<u32>, b: Option<&str>) -> Result<Page<CommandView>, DbError> { unimplemented!() }
    async fn bounty_page(&self, q: &BountyQuery) -> Result<Page<BountyView>, DbError> { unimplemented!() }
}
impl Missing for Store {}
impl crate::Domain {
    pub(crate) async fn deploy_unaudited(&self, s: FleetSpec) -> Result<TaskAccepted, crate::DomainError> { unimplemented!() }
}
