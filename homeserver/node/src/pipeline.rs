//! The way of every call: log, shed, limit, bound in time, operate; one place maps errors to faults.
//!
//! The layers stand in [`pipeline`] in the order in which a call meets them. To add one: there.

use std::future::Future;
use std::time::{Duration, Instant};

use entente_protocol::fault::{Blame, Fault, FaultCode};
use entente_protocol::limits::CALL_TIMEOUT_MS;
use futures::future::BoxFuture;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::load_shed::error::Overloaded;
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

/// The peer waits this long at most; what is not done by then is answered while it still listens.
const TIMEOUT: Duration = Duration::from_millis(CALL_TIMEOUT_MS - 2_000);
/// What a caller is told to wait when too many calls are under way, in milliseconds.
const SHED_RETRY_MS: u32 = 500;

/// No refusal that must not tell what exists comes sooner than this, however soon it was clear: so its time
/// does not tell either.
pub(crate) const EVEN_TIME: Duration = Duration::from_millis(100);

/// Who calls too often waits at least so long for being told so: a caller has few streams, and so cannot go on
/// as fast as it likes.
const TOO_OFTEN: Duration = Duration::from_millis(200);

/// A pipeline, ready to be called.
pub type Pipeline<Q, R> = BoxCloneSyncService<Q, R, Fault>;

/// What the log may know about a call.
pub trait Named {
    /// Its method's name.
    fn name(&self) -> &'static str;
}

/// Puts the layers around an operation. At most `calls` are under way at once, over all connections.
pub fn pipeline<Q, R, F, O>(calls: usize, operation: F) -> Pipeline<Q, R>
where
    Q: Named + Send + 'static,
    R: Send + 'static,
    F: Fn(Q) -> O + Clone + Send + Sync + 'static,
    O: Future<Output = Result<R, Fault>> + Send + 'static,
{
    let operation = service_fn(move |request: Q| {
        let answer = operation(request);
        async move { answer.await.map_err(BoxError::from) }
    });
    let service = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(calls))
        .layer(TimeoutLayer::new(TIMEOUT))
        .service(operation)
        .map_err(to_fault);
    BoxCloneSyncService::new(Logged(service))
}

/// Whether a call that was done may be answered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// As soon as it is.
    AtOnce,
    /// No sooner than a silent refusal: how long it took tells what exists.
    Evenly,
}

/// A call whose answer takes its time, where a quick one would tell or cost something. It goes around all
/// that may refuse a call, the pipeline included: who waits for a refusal keeps nobody from being served.
pub(crate) async fn unhurried<R>(
    done: Done,
    call: impl Future<Output = Result<R, Fault>>,
) -> Result<R, Fault> {
    let begun = tokio::time::Instant::now();
    let answer = call.await;
    let at_least = match (&answer, done) {
        (Ok(_), Done::AtOnce) => return answer,
        (Ok(_), Done::Evenly) => EVEN_TIME,
        (Err(fault), _) if fault.code == FaultCode::RateLimited => TOO_OFTEN,
        (Err(fault), _) if is_silent(fault.code) => EVEN_TIME,
        (Err(_), _) => return answer,
    };
    tokio::time::sleep_until(begun + at_least).await;
    answer
}

/// Whether a refusal is given alike for what does not exist and for what the caller has no part in.
fn is_silent(code: FaultCode) -> bool {
    matches!(
        code,
        FaultCode::NoSuchRoom | FaultCode::NoKeyPackage | FaultCode::AuthenticationFailed
    )
}

/// The one place where what a layer says becomes a fault.
fn to_fault(error: BoxError) -> Fault {
    let error = match error.downcast::<Fault>() {
        Ok(fault) => return *fault,
        Err(error) => error,
    };
    if error.is::<Elapsed>() {
        Fault::new(FaultCode::Timeout, FaultCode::Timeout.meaning())
    } else if error.is::<Overloaded>() {
        let detail = "the server has too many calls under way; nothing was done";
        Fault::new(FaultCode::Busy, detail).retry_after(SHED_RETRY_MS)
    } else {
        tracing::error!(%error, "a layer failed in an unforeseen way");
        Fault::new(FaultCode::Internal, FaultCode::Internal.meaning())
    }
}

/// Logs each call's end: bugs as errors, everything else for debugging.
#[derive(Clone)]
struct Logged<S>(S);

impl<Q, S> Service<Q> for Logged<S>
where
    Q: Named,
    S: Service<Q, Error = Fault>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<S::Response, Fault>>;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Fault>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let method = request.name();
        let begun = Instant::now();
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let took_us = begun.elapsed().as_micros();
            match &answer {
                Ok(_) => tracing::debug!(method, took_us, "done"),
                Err(fault) => match fault.code.blame() {
                    Blame::Bug => tracing::error!(method, took_us, code = %fault.code, "failed"),
                    Blame::Caller | Blame::Peer | Blame::Busy => {
                        tracing::debug!(method, took_us, code = %fault.code, "refused");
                    }
                },
            }
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    struct Ask;

    impl Named for Ask {
        fn name(&self) -> &'static str {
            "ask"
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_answered_with_timeout() {
        let slow = pipeline(1, |_: Ask| std::future::pending::<Result<(), Fault>>());
        let fault = slow.oneshot(Ask).await.expect_err("too slow");
        assert_eq!(fault.code, FaultCode::Timeout);
    }

    /// A call that is refused with a code after some milliseconds of looking things up.
    async fn refused(code: FaultCode, looked_up: u64) -> Duration {
        let begun = tokio::time::Instant::now();
        let refusal = unhurried(Done::AtOnce, async move {
            tokio::time::sleep(Duration::from_millis(looked_up)).await;
            Err::<(), _>(Fault::new(code, code.meaning()))
        });
        refusal.await.expect_err("refused");
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn f4_refusals_take_the_same_time_whatever_was_looked_up() {
        for code in [
            FaultCode::NoSuchRoom,
            FaultCode::NoKeyPackage,
            FaultCode::AuthenticationFailed,
        ] {
            for looked_up in [0, 7, 60] {
                let took = refused(code, looked_up).await;
                assert_eq!(took, EVEN_TIME, "{code} after {looked_up} ms");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f4_what_must_not_tell_takes_the_same_time_when_it_is_done() {
        for (done, took) in [(Done::AtOnce, 30), (Done::Evenly, 100)] {
            let begun = tokio::time::Instant::now();
            let written = async {
                tokio::time::sleep(Duration::from_millis(30)).await;
                Ok::<_, Fault>(())
            };
            unhurried(done, written).await.expect("done");
            assert_eq!(begun.elapsed(), Duration::from_millis(took), "{done:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn d6_who_calls_too_often_waits_for_being_told_so() {
        assert_eq!(refused(FaultCode::RateLimited, 0).await, TOO_OFTEN);
        assert_eq!(refused(FaultCode::NotMember, 0).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn d6_who_waits_for_a_refusal_keeps_nobody_from_being_served() {
        let one_at_a_time = pipeline(1, |_: Ask| async {
            let code = FaultCode::RateLimited;
            Err::<(), _>(Fault::new(code, code.meaning()))
        });
        let call = || unhurried(Done::AtOnce, one_at_a_time.clone().oneshot(Ask));
        for answer in futures::future::join_all([call(), call(), call()]).await {
            let fault = answer.expect_err("refused");
            assert_eq!(fault.code, FaultCode::RateLimited, "none was shed");
        }
    }

    #[tokio::test]
    async fn what_is_too_much_is_shed_and_the_operations_faults_pass() {
        let go = Arc::new(Notify::new());
        let waiting = Arc::clone(&go);
        let service = pipeline(1, move |_: Ask| {
            let go = Arc::clone(&waiting);
            async move {
                go.notified().await;
                Err::<(), _>(Fault::new(FaultCode::NotMember, "no"))
            }
        });
        let first = tokio::spawn(service.clone().oneshot(Ask));
        tokio::task::yield_now().await;
        let fault = service.oneshot(Ask).await.expect_err("one at a time");
        assert_eq!(fault.code, FaultCode::Busy);
        assert!(fault.retry_after_ms.is_some());
        go.notify_one();
        let fault = first.await.expect("runs").expect_err("refused");
        assert_eq!(fault.code, FaultCode::NotMember);
    }
}
