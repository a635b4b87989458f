//! The list, as the server writes it.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::view::{JobSummary, OrderView, Page};

use crate::api::jobs::Stop;
use crate::api::{actor, exchange};
use crate::components::{Cell, Column, Parts, empty, row, table};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, locale, told, words};
use crate::pages::wording;

const JOBS_PER_PAGE: u32 = 50;
/// Of those that wait so many are shown, the longest waiting first.
const ORDERS: u32 = 100;

/// `before` is the job that the list goes on after; empty for the newest.
pub async fn part(before: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let page = exchange()?
        .jobs(&actor, before.parse().ok(), JOBS_PER_PAGE)
        .await?;
    let t = words();
    let orders = exchange()?.orders(&actor, None, ORDERS).await?;
    if page.items.is_empty() {
        return Ok(empty(
            t.jobs_empty(),
            t.jobs_empty_text(),
            Some((t.launch(), "/launch".to_owned())),
        ));
    }
    let rows = page.items.iter().map(|job| job_row(job, t)).parts();
    let columns = vec![
        Column::new(t.col_job()),
        Column::new(t.col_state()),
        Column::new(t.col_device()),
        Column::end(t.col_price()),
        Column::end(t.col_time()),
        Column::end(t.col_spent()),
        Column::end(t.col_created()),
    ];
    let older = page.next.map(|before| {
        view! { <p class="mt-4"><a class="btn" href=format!("/jobs?before={before}")>{t.older()}</a></p> }
    });
    Ok(view! { {waiting(&orders, t)}{table(t.jobs_title(), columns, rows)}{older} }.into_any())
}

/// Jobs that wait in the market: why, until when, and the way to withdraw them.
fn waiting(orders: &Page<OrderView>, t: &'static Words) -> AnyView {
    if orders.items.is_empty() {
        return ().into_any();
    }
    let more = orders.next.as_ref().map(|_| {
        let text = fill(t.orders_more(), &[&ORDERS.to_string()]);
        view! { <p class="hint mt-3">{text}</p> }
    });
    let rows = orders
        .items
        .iter()
        .map(|order| {
            let id = order.job.to_string();
            let why = if order.why.is_empty() {
                t.order_next().to_owned()
            } else {
                told(&order.why, locale())
            };
            let asks = [
                order.filter.clone(),
                order
                    .max_price_per_hour
                    .as_ref()
                    .map(|most| format!("≤ {most} {}", t.unit_price())),
            ];
            let asks = asks.into_iter().flatten().collect::<Vec<_>>().join(" · ");
            row(vec![
                Cell::title(view! { <a href=format!("/jobs/{id}")>{order.name.clone()}</a> }),
                Cell::wide(t.order_asks(), asks),
                Cell::wide(t.order_why(), why),
                Cell::end(
                    t.order_until(),
                    view! { <span class="whitespace-nowrap">{format::moment(order.until)}</span> },
                ),
                Cell::action(view! {
                    <form method="post" action=Stop::url() data-done=t.order_withdrawn()>
                        <input type="hidden" name="id" value=id/>
                        <button class="btn danger" type="submit">{t.order_withdraw()}</button>
                    </form>
                }),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.col_job()),
        Column::new(t.order_asks()),
        Column::new(t.order_why()),
        Column::end(t.order_until()),
        Column::action(t.col_action()),
    ];
    view! { <section class="mb-6" id="orders"><h2 class="mb-3">{t.orders_title()}</h2>{table(t.orders_title(), columns, rows)}{more}</section> }.into_any()
}

fn job_row(job: &JobSummary, t: &'static Words) -> AnyView {
    let href = format!("/jobs/{}", job.id);
    let device = job.device_model.clone().unwrap_or_else(|| {
        job.device_class
            .map_or("–", |class| class.label())
            .to_owned()
    });
    row(vec![
        Cell::title(view! { <a href=href data-row="1">{job.name.clone()}</a> }),
        Cell::new(t.col_state(), wording::job_state(job.state, t)),
        Cell::new(t.col_device(), device),
        Cell::end(
            t.col_price(),
            job.per_hour
                .map_or_else(|| "–".to_owned(), |price| format::per_hour_amount(price, t)),
        ),
        Cell::end(t.col_time(), format::duration(job.seconds, t)),
        Cell::end(t.col_spent(), format::io(job.spent)),
        Cell::end(t.col_created(), format::moment(job.created_at)),
    ])
}
