//! Metrics: figures of a training run by step.

use super::connection::Write;
use super::{Error, Job, JobId, Store, page_size};
use serde_json::{Map, Value};
use sqlx::Row as _;
use std::collections::BTreeMap;

/// The figures of a step. A step that comes again adds figures and replaces those it
/// repeats: after a resume from a checkpoint the later ones are the model's.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPoint {
    /// The step.
    pub step: u64,
    /// Figures by name, such as `train_loss`. A diverged run's may be infinite or no
    /// number at all, and are kept so.
    pub figures: BTreeMap<String, f64>,
}

impl Store {
    /// The figures of an attempt, by step, after this step (`None` for the beginning).
    pub async fn metrics(
        &self,
        job: &JobId,
        attempt: u32,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MetricPoint>, Error> {
        let rows = self
            .inner
            .read()
            .await?
            .all(
                sqlx::query(
                    "SELECT step, figures FROM metrics WHERE job = ?1 AND attempt = ?2
                     AND (?3 IS NULL OR step > ?3) ORDER BY step LIMIT ?4",
                )
                .bind(job.as_str())
                .bind(attempt)
                .bind(after.map(|step| i64::try_from(step).unwrap_or(i64::MAX)))
                .bind(page_size(limit)),
            )
            .await?;
        let mut points = Vec::with_capacity(rows.len());
        for row in rows {
            let step = row.try_get::<i64, _>("step")?.cast_unsigned();
            points.push(MetricPoint { step, figures: decoded(&super::job::json(&row, "figures")?) });
        }
        Ok(points)
    }
}

/// Records a point; false if it brings nothing new.
pub(super) async fn record(tx: &mut Write, job: &Job, point: &MetricPoint) -> Result<bool, Error> {
    let step = super::create::integer("step", point.step)?;
    let known = tx
        .optional(
            sqlx::query("SELECT figures FROM metrics WHERE job = ? AND attempt = ? AND step = ?")
                .bind(job.id.as_str())
                .bind(job.attempt)
                .bind(step),
        )
        .await?;
    let mut figures = match &known {
        Some(row) => match super::job::json(row, "figures")? {
            Value::Object(figures) => figures,
            _ => Map::new(),
        },
        None => Map::new(),
    };
    let before = figures.clone();
    figures.extend(encoded(&point.figures));
    if known.is_some() && figures == before {
        return Ok(false);
    }
    tx.execute(
        sqlx::query(
            "INSERT INTO metrics VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET figures = excluded.figures",
        )
        .bind(job.id.as_str())
        .bind(job.attempt)
        .bind(step)
        .bind(Value::Object(figures).to_string()),
    )
    .await?;
    Ok(true)
}

/// As JSON, which has no infinities: those are texts.
pub(super) fn encoded(figures: &BTreeMap<String, f64>) -> Map<String, Value> {
    let value = |figure: f64| {
        serde_json::Number::from_f64(figure).map_or_else(|| Value::String(figure.to_string()), Value::Number)
    };
    figures.iter().map(|(name, figure)| (name.clone(), value(*figure))).collect()
}

/// Back from JSON; what is no figure is left out.
pub(super) fn decoded(json: &Value) -> BTreeMap<String, f64> {
    let figure = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let fields = json.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), figure(value)?))).collect()
}
