//! Invoices and exports as they are served.

use metering::invoice::check;
use protocol::invoice::{EarningsExport, Invoice, LedgerExport};
use protocol::state::RunEnd;
use test_support::{Chain, TestApp, job};

#[tokio::test]
async fn an_invoice_is_served_to_be_checked_read_and_counted() {
    let app = TestApp::start().await;
    let (ada, bo) = (app.account("ada", Some("10")), app.account("bo", None));
    let mut worker = app
        .fake(&bo, "=HYPERLINK(\"http://evil.example\")", "1")
        .await;
    let id = ada.submit(&job("训练", &["true"])).await.summary.id;
    let assignment = worker.assignment().await;
    worker.started(&assignment).await;
    worker
        .end(
            &assignment,
            &Chain::default(),
            2,
            RunEnd::Exited { code: 0 },
        )
        .await;

    let path = format!("/api/v1/jobs/{id}/invoice");
    let answer = ada.rest.get(&path).await;
    let invoice: Invoice = answer.ok();
    let verdict = check(&answer.text(), Some(&invoice.platform_key));
    assert_eq!(verdict.findings, []);
    assert_eq!(invoice.totals.seconds.get(), 2);
    assert!(invoice.is_final);
    bo.rest.get(&path).await.refused(404);

    let now = &invoice.issued_at.to_string()[..7];
    let month: Invoice = ada
        .rest
        .get(&format!("/api/v1/billing/invoices/{now}"))
        .await
        .ok();
    assert_eq!(month.totals, invoice.totals);
    let wrong = ada.rest.get("/api/v1/billing/invoices/2026-99").await;
    assert_eq!(wrong.refused(422).fields[0].field, "month");

    let copy = ada.rest.get(&format!("{path}?format=csv")).await;
    assert_eq!(copy.header("content-type"), Some("text/csv; charset=utf-8"));
    let name = format!("attachment; filename=\"IOG-{id}.csv\"");
    assert_eq!(copy.header("content-disposition"), Some(name.as_str()));
    let rows: Vec<String> = copy.text().lines().map(str::to_owned).collect();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[0].starts_with("invoice,line,job,lease,"));
    assert!(rows[2].starts_with(&format!("IOG-{id},total,")));
    let columns = |row: &String| row.split(',').count();
    assert_eq!(columns(&rows[0]), columns(&rows[2]));

    let paper = ada.rest.get(&format!("{path}?format=pdf")).await;
    assert_eq!(paper.header("content-type"), Some("application/pdf"));
    assert!(paper.body.starts_with(b"%PDF-1."), "{:?}", &paper.body[..9]);
    let strange = ada.rest.get(&format!("{path}?format=doc")).await;
    assert_eq!(strange.refused(422).fields[0].field, "format");

    // The owner's side, with the name that a spreadsheet must not compute.
    let earned: EarningsExport = bo.rest.get("/api/v1/earnings/export").await.ok();
    assert_eq!(earned.receipts.len(), 1);
    assert_eq!(earned.receipts[0].receipt, invoice.leases[0].receipts[0]);
    let table = bo.rest.get("/api/v1/earnings/export?format=csv").await;
    assert!(
        table
            .text()
            .contains(",\"'=HYPERLINK(\"\"http://evil.example\"\")\","),
        "{}",
        table.text()
    );
    let none: EarningsExport = bo
        .rest
        .get("/api/v1/earnings/export?to=2020-01-01")
        .await
        .ok();
    assert!(none.receipts.is_empty());
    let wrong = bo.rest.get("/api/v1/earnings/export?from=soon").await;
    assert_eq!(wrong.refused(422).fields[0].field, "from");

    let moved: LedgerExport = ada.rest.get("/api/v1/billing/ledger").await.ok();
    let mut entries = ada.entries().await;
    entries.reverse();
    assert_eq!(moved.entries, entries);
    let table = ada
        .rest
        .get("/api/v1/billing/ledger?format=csv")
        .await
        .text();
    assert_eq!(table.lines().count(), entries.len() + 1);
    assert!(table.starts_with("at,transfer,kind,amount_io,from,to,job\r\n"));
}
