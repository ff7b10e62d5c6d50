//! Settings that operators change while DECNET runs: text by name. What they mean is their user's business.

use crate::{
    DbError, Store,
    backend::{Merge, Sql},
};

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
}
