//! The pages and their server functions, rendered by `app`, and the site's files.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use exchange::Exchange;
use http::header::CONTENT_TYPE;
use leptos::nonce::Nonce;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::{LeptosRoutes, file_and_error_handler_with_context, generate_route_list};

use crate::state::AppState;

/// Adds them to the router. Pages reach the exchange through Leptos' context, in the first rendering as in each call.
pub fn add(router: Router<AppState>, state: &AppState) -> Router<AppState> {
    let exchange = state.exchange.clone();
    let context = move || {
        provide_context(exchange.clone());
        let parts = use_context::<http::request::Parts>();
        if let Some(nonce) = parts.and_then(|parts| parts.extensions.get::<Nonce>().cloned()) {
            provide_context(nonce);
        }
    };
    let options = state.leptos.clone();
    router
        .leptos_routes_with_context(
            state,
            generate_route_list(app::App),
            context.clone(),
            move || app::shell(options.clone()),
        )
        .fallback(file_and_error_handler_with_context::<AppState, _>(
            context,
            app::shell,
        ))
}

/// Makes the nonce of a page before it is rendered, and sets the headers of every HTML answer with it.
pub async fn policy(
    State(exchange): State<Exchange>,
    mut request: Request,
    next: Next,
) -> Response {
    let nonce = Nonce::new();
    request.extensions_mut().insert(nonce.clone());
    let mut response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        let network = exchange.settings().network.as_ref();
        let node = network.and_then(|network| network.public_url.as_deref());
        match app::page_headers(&nonce, node) {
            Ok(headers) => response.headers_mut().extend(headers),
            Err(error) => tracing::error!(%error, "a page's policy could not be written"),
        }
    }
    response
}

/// Method and path of every server function, for the test that asks each of them.
pub fn server_functions() -> Vec<(http::Method, String)> {
    let all = leptos::server_fn::axum::server_fn_paths();
    all.map(|(path, method)| (method, path.to_owned()))
        .collect()
}
