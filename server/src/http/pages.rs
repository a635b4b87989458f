//! The pages and their server functions, rendered by `app`, and the site's files.

use axum::Router;
use leptos::prelude::provide_context;
use leptos_axum::{LeptosRoutes, file_and_error_handler_with_context, generate_route_list};

use crate::state::AppState;

/// Adds them to the router. Pages reach the exchange through Leptos' context, in the first rendering as in each call.
pub fn add(router: Router<AppState>, state: &AppState) -> Router<AppState> {
    let exchange = state.exchange.clone();
    let context = move || provide_context(exchange.clone());
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

/// Method and path of every server function, for the test that asks each of them.
pub fn server_functions() -> Vec<(http::Method, String)> {
    let all = leptos::server_fn::axum::server_fn_paths();
    all.map(|(path, method)| (method, path.to_owned()))
        .collect()
}
