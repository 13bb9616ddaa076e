//! The two listeners: callers on one, administrators on the other.

use crate::{
    app::App,
    edge::{self, listener, proxies::Proxies},
};
use admin::services::Services;
use hyper::service::service_fn;
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A listener with how it is served.
pub(super) struct Open {
    pub(super) listener: TcpListener,
    pub(super) limits: listener::Limits,
    pub(super) proxies: Proxies,
    pub(super) until: CancellationToken,
    pub(super) deadline: Duration,
}

impl Open {
    /// `also`: with the part of the administration API that stock SDKs know.
    pub(super) async fn serve_callers(self, app: Arc<App>, services: Arc<Services>, also: bool) {
        let proxies = self.proxies;
        let make = move |address: SocketAddr| {
            let (app, services) = (Arc::clone(&app), Arc::clone(&services));
            let proxies = proxies.clone();
            service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (app, services) = (Arc::clone(&app), Arc::clone(&services));
                let address = proxies.asker(address, request.headers());
                async move {
                    let answer = if also && edge::is_administration(&request) {
                        edge::administer(&services, address, request).await
                    } else {
                        edge::serve(app, &services, address, request).await
                    };
                    Ok::<_, Infallible>(answer)
                }
            })
        };
        let Self { listener, limits, until, deadline, .. } = self;
        listener::serve(listener, limits, make, until, deadline).await;
    }

    pub(super) async fn serve_administrators(self, services: Arc<Services>) {
        let proxies = self.proxies;
        let make = move |address: SocketAddr| {
            let (services, proxies) = (Arc::clone(&services), proxies.clone());
            service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let services = Arc::clone(&services);
                let address = proxies.asker(address, request.headers());
                async move {
                    let answer = admin::gate::serve(&services, address.ip(), request).await;
                    Ok::<_, Infallible>(answer)
                }
            })
        };
        let Self { listener, limits, until, deadline, .. } = self;
        listener::serve(listener, limits, make, until, deadline).await;
    }
}
