//! Settings that operators change while DECNET runs: text by name in one table, typed here for the processes that read them.

use decnet_model::ignore::IgnoreRule;

use crate::{
    DbError, Store,
    backend::{Merge, Sql},
};

/// The setting that holds the ignore rules, as JSON.
const IGNORE_RULES: &str = "ignore-rules";

/// A setting that is a number. Who sets it has looked at its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// Most deckies.
    DeploymentLimit,
    /// Minutes between two mutations of a decky that has no interval of its own; 0 is never.
    MutationInterval,
    /// Days after which log rows are deleted.
    RetentionDays,
    /// Minutes that a session lasts.
    SessionMinutes,
}

impl Setting {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::DeploymentLimit,
        Self::MutationInterval,
        Self::RetentionDays,
        Self::SessionMinutes,
    ];

    /// The name under which it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeploymentLimit => "deployment-limit",
            Self::MutationInterval => "mutation-interval-minutes",
            Self::RetentionDays => "retention-days",
            Self::SessionMinutes => "session-minutes",
        }
    }
}

impl Store {
    /// The value of a setting.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn setting_get(&self, name: &str) -> Result<Option<String>, DbError> {
        let sql = Sql::new("read a setting", "SELECT value FROM settings WHERE name = ?").bind(name);
        let row = self.backend.fetch_optional(sql).await?;
        row.map(|row| row.columns("read a setting").text(0)).transpose()
    }

    /// Sets it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn setting_set(&self, name: &str, value: &str) -> Result<(), DbError> {
        let upsert = self.backend.dialect().upsert("name", &[("value", Merge::Put)]);
        let sql = Sql::new(
            "change a setting",
            format!("INSERT INTO settings (name, value) VALUES (?, ?){upsert}"),
        );
        self.backend.execute(sql.bind(name).bind(value)).await.map(drop)
    }

    /// A setting that is a number; absent where the configuration's own value is in effect.
    ///
    /// # Errors
    /// [`DbError::Corrupt`] where it is none.
    pub async fn setting_number(&self, setting: Setting) -> Result<Option<u32>, DbError> {
        let text = self.setting_get(setting.name()).await?;
        let parsed = text.map(|text| {
            text.parse().map_err(|_| DbError::Corrupt {
                operation: "read a setting",
                what: format!("{}: {text:?}", setting.name()),
            })
        });
        parsed.transpose()
    }

    /// Sets it, or with `None` leaves it to the configuration again.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn setting_number_set(&self, setting: Setting, value: Option<u32>) -> Result<(), DbError> {
        match value {
            Some(value) => self.setting_set(setting.name(), &value.to_string()).await,
            None => {
                let sql = Sql::new("forget a setting", "DELETE FROM settings WHERE name = ?");
                self.backend.execute(sql.bind(setting.name())).await.map(drop)
            }
        }
    }

    /// The ignore rules, in the order in which they were made.
    ///
    /// # Errors
    /// [`DbError::Corrupt`] where they cannot be read.
    pub async fn ignore_rules(&self) -> Result<Vec<IgnoreRule>, DbError> {
        let text = self.setting_get(IGNORE_RULES).await?;
        text.map_or(Ok(Vec::new()), |text| read_rules(&text))
    }

    /// Changes the ignore rules, so that of two who do so at the same time neither undoes the other.
    ///
    /// # Errors
    /// What `change` says; nothing is changed then.
    pub async fn ignore_rules_change<E: From<DbError>>(
        &self,
        change: impl FnOnce(&mut Vec<IgnoreRule>) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        const OPERATION: &str = "change the ignore rules";
        let dialect = self.backend.dialect();
        // So that there is a row to lock; on its own, because its lock is a weaker one, and two who hold that deadlock.
        let insert = format!(
            "{}settings (name, value) VALUES (?, '[]')",
            dialect.insert_ignore()
        );
        self.backend
            .execute(Sql::new(OPERATION, insert).bind(IGNORE_RULES))
            .await?;
        let mut tx = self.backend.begin().await?;
        let text = format!(
            "SELECT value FROM settings WHERE name = ?{}",
            dialect.for_update()
        );
        let row = tx
            .fetch_optional(Sql::new(OPERATION, text).bind(IGNORE_RULES))
            .await?;
        let mut rules = match row {
            Some(row) => read_rules(&row.columns(OPERATION).text(0)?)?,
            None => Vec::new(),
        };
        change(&mut rules)?;
        let text = serde_json::to_string(&rules).map_err(|e| DbError::Corrupt {
            operation: OPERATION,
            what: e.to_string(),
        })?;
        let update = "UPDATE settings SET value = ? WHERE name = ?";
        tx.execute(Sql::new(OPERATION, update).bind(text).bind(IGNORE_RULES))
            .await?;
        Ok(tx.commit().await?)
    }
}

fn read_rules(text: &str) -> Result<Vec<IgnoreRule>, DbError> {
    serde_json::from_str(text).map_err(|e| DbError::Corrupt {
        operation: "read the ignore rules",
        what: format!("list of rules: {e}"),
    })
}
