//! The contender that a careful developer would write first: SQLite in memory, with an index that covers each kind of
//! question, and statistics.

use market::Offer;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::data::Question;

pub struct Sqlite(Connection);

/// A question as a statement that SQLite has prepared, and its values.
pub struct Prepared<'a> {
    statement: rusqlite::CachedStatement<'a>,
    values: Vec<Value>,
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).expect("small")
}

impl Sqlite {
    pub fn of(offers: &[Offer]) -> Self {
        let db = Connection::open_in_memory().expect("in memory");
        db.execute_batch(
            "PRAGMA cache_size = -2000000;
             CREATE TABLE offers (id TEXT PRIMARY KEY, model TEXT, country TEXT, hall TEXT, vram INT, cpus INT, memory INT,
                disk INT, down INT, driver INT, cuda INT, reputation INT, price INT, joined INT, open INT) WITHOUT ROWID;",
        )
        .expect("the schema");
        let tx = db.unchecked_transaction().expect("a transaction");
        {
            let mut insert = tx
                .prepare("INSERT INTO offers VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
                .expect("the statement");
            for offer in offers {
                insert
                    .execute(params![
                        offer.device.to_string(),
                        &*offer.model,
                        offer.country.map(|country| country.to_string()),
                        offer.group.as_deref(),
                        whole(offer.device_memory_mib),
                        offer.cpus,
                        whole(offer.memory_mib),
                        whole(offer.disk_mib),
                        offer.down_mbit,
                        offer.driver.get(),
                        offer.cuda.get(),
                        offer.reputation,
                        offer.price.per_second().base(),
                        offer.joined_at.millis(),
                        offer.is_open(),
                    ])
                    .expect("the row");
            }
        }
        tx.commit().expect("the commit");
        let rest =
            "reputation DESC, joined, id, vram, cpus, memory, disk, down, driver, cuda, country";
        db.execute_batch(&format!(
            "CREATE INDEX by_model ON offers (model, open, price, {rest});
             CREATE INDEX by_place ON offers (country, open, price, {rest}, model);
             CREATE INDEX by_both ON offers (model, country, open, price, {rest});
             CREATE INDEX by_price ON offers (open, price, {rest}, model);
             CREATE INDEX by_hall ON offers (model, open, hall, price, reputation);
             ANALYZE;"
        ))
        .expect("the indexes");
        Self(db)
    }

    pub fn prepare(&self, question: &Question) -> Prepared<'_> {
        let mut terms = vec!["open = 1".to_owned()];
        let mut values = Vec::new();
        for (column, text) in [("model", question.model), ("country", question.country)] {
            if let Some(text) = text {
                terms.push(format!("{column} = ?"));
                values.push(Value::Text(text.to_owned()));
            }
        }
        for (number, value) in &question.least {
            terms.push(format!("{} >= ?", number.name()));
            values.push(Value::Integer(whole(*value)));
        }
        if let Some(most) = question.most {
            terms.push("price <= ?".to_owned());
            values.push(Value::Integer(whole(most)));
        }
        let filter = terms.join(" AND ");
        let sql = match question.nodes {
            1 => format!(
                "SELECT id FROM offers WHERE {filter} ORDER BY price, reputation DESC, joined, id LIMIT 1"
            ),
            nodes => format!(
                "SELECT CAST(sum(price) AS TEXT), sum(price) AS total FROM (SELECT hall, price, row_number() OVER \
                 (PARTITION BY hall ORDER BY price) AS n FROM offers WHERE {filter}) WHERE n <= {nodes} \
                 GROUP BY hall HAVING count(*) = {nodes} ORDER BY total LIMIT 1"
            ),
        };
        Prepared {
            statement: self.0.prepare_cached(&sql).expect("the statement"),
            values,
        }
    }
}

impl Prepared<'_> {
    /// The device, or what the gang costs.
    pub fn ask(&mut self) -> Option<String> {
        let row = self
            .statement
            .query_row(params_from_iter(&self.values), |row| row.get(0));
        row.ok()
    }
}

/// Sets SQLite's update of a price beside ours: one row, all its indexes.
pub fn update(db: &Sqlite, device: &str, price: i64) {
    let mut statement =
        db.0.prepare_cached("UPDATE offers SET price = ? WHERE id = ?")
            .expect("the statement");
    statement.execute(params![price, device]).expect("the row");
}
