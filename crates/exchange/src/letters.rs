//! The words of e-mails, in both languages: what happened, in one line for the subject and a few for the text, and where one
//! sees more. Plain text, and nothing in a subject that could end its line.

mod channels;

use kernel::{Amount, Seconds, Timestamp};
use protocol::money::{DepositState, DisputeState, PayoutState, RefundReason};
use protocol::notice::{Language, Notice};
use protocol::state::RunEnd;
use protocol::wallet::AddressChange;

/// Letters of a subject.
const SUBJECT_MAX: usize = 120;

/// What is written, to whomever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub subject: String,
    pub text: String,
}

/// On one line, and short: what people and other machines wrote stands in it.
fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SUBJECT_MAX).collect()
}

fn io(amount: Amount) -> String {
    format!("{} IO", amount.to_io_rounded(4))
}

/// To the minute.
fn at(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

fn lasts(seconds: Seconds, language: Language) -> String {
    let seconds = seconds.get();
    let (count, en, zh) = match seconds {
        172_800.. => (seconds / 86_400, "days", "天"),
        7_200.. => (seconds / 3_600, "hours", "小时"),
        120.. => (seconds / 60, "minutes", "分钟"),
        _ => (seconds, "seconds", "秒"),
    };
    match language {
        Language::En => format!("{count} {en}"),
        Language::Zh => format!("{count} {zh}"),
    }
}

fn end_zh(end: &RunEnd) -> String {
    match end {
        RunEnd::Exited { code: 0 } => "已完成。".into(),
        RunEnd::Exited { code } => format!("命令以退出码 {code} 结束。"),
        RunEnd::Signalled { signal } => format!("命令被信号 {signal} 终止。"),
        RunEnd::OutOfMemory { limit_mib } => format!("内存超过 {limit_mib} MiB 的上限。"),
        RunEnd::DiskFull { limit_mib } => format!("磁盘超过 {limit_mib} MiB 的上限。"),
        RunEnd::TooManyProcesses { limit } => format!("进程数超过 {limit} 的上限。"),
        RunEnd::TimeLimit { seconds } => format!("达到了 {seconds} 秒的时限。"),
        RunEnd::StoppedByUser => "由您停止。".into(),
        RunEnd::OutOfFunds => "为它预留的余额已用完。".into(),
        RunEnd::NodeDrained => "机器的主人让它下线了。".into(),
        RunEnd::Preempted => "设备被收回，交给了支付全价的任务。".into(),
        RunEnd::LeaseLost => "与机器的联系中断。".into(),
        RunEnd::FailedToStart { reason } => format!("未能启动：{reason}"),
        RunEnd::NoCapacity { reason } => format!("没有及时找到设备：{reason}"),
        RunEnd::JobOver => "任务的另一个成员结束了它。".into(),
        RunEnd::SpecMissed { reason } => format!("机器与租用的不符：{reason}"),
        RunEnd::TooManyRestarts { restarts } => format!("已重启 {restarts} 次，达到上限。"),
    }
}

fn because(reason: Option<&String>) -> String {
    reason
        .map(|reason| format!("\n{reason}"))
        .unwrap_or_default()
}

/// A state's name as people write it.
fn plain(name: &str) -> String {
    name.replace('_', " ")
}

const fn payout_zh(state: PayoutState) -> &'static str {
    match state {
        PayoutState::Requested => "等待审核",
        PayoutState::Approved => "已批准",
        PayoutState::Frozen => "已冻结",
        PayoutState::Sent => "已发出",
        PayoutState::Paid => "已到账",
        PayoutState::Failed => "失败，金额已退回",
        PayoutState::Cancelled => "已撤回",
        PayoutState::Refused => "已拒绝，金额已退回",
    }
}

const fn deposit_zh(state: DepositState) -> &'static str {
    match state {
        DepositState::Requested => "等待审批",
        DepositState::InTransit => "在途",
        DepositState::Credited => "已入账",
        DepositState::Refused => "已拒绝",
    }
}

const fn dispute_zh(state: DisputeState) -> &'static str {
    match state {
        DisputeState::Open => "处理中",
        DisputeState::Refunded => "已退款",
        DisputeState::Rejected => "已驳回",
        DisputeState::Withdrawn => "已撤回",
    }
}

fn en(notice: &Notice) -> (String, String) {
    match notice {
        Notice::JobStarted { name, restarts, .. } => (
            format!("Job {name} runs"),
            format!("Your job {name} has started. Restarts before: {restarts}."),
        ),
        Notice::JobEnded {
            name, end, cost, ..
        } => (
            format!("Job {name} has ended"),
            format!(
                "Your job {name} has ended. {}\nIt cost {} in all.",
                end.sentence(),
                io(*cost)
            ),
        ),
        Notice::JobFundsLow {
            name, seconds_left, ..
        } => (
            format!(
                "Job {name} will be stopped in {}",
                lasts(*seconds_left, Language::En)
            ),
            format!(
                "The money for your job {name} lasts {} more. Then it is asked to leave a checkpoint and to end. Add to the balance to let it go on.",
                lasts(*seconds_left, Language::En)
            ),
        ),
        Notice::JobOutOfFunds { name, cost, .. } => (
            format!("Job {name} was stopped: the money is used up"),
            format!(
                "Your job {name} was stopped because its money was used up. It cost {} in all. What it left is kept.",
                io(*cost)
            ),
        ),
        Notice::BalanceRunway {
            runway_seconds,
            ends_at,
            available,
            held,
            per_hour,
            ..
        } => (
            format!(
                "Your balance lasts {} more",
                lasts(*runway_seconds, Language::En)
            ),
            format!(
                "What runs now costs {} per hour. {} is available and {} is held: that lasts until {}. Jobs whose money ends are asked to leave a checkpoint and to end.",
                io(*per_hour),
                io(*available),
                io(*held),
                at(*ends_at)
            ),
        ),
        Notice::JobRefunded {
            name,
            seconds,
            amount,
            owed,
            reason,
            ..
        } => (
            format!("{} is given back for job {name}", io(*amount)),
            format!(
                "{} is given back for {} of your job {name}: {}.{}",
                io(*amount),
                lasts(*seconds, Language::En),
                match reason {
                    RefundReason::LossBound => "they were lost beyond the bound that you chose",
                    RefundReason::SpecMissed => "the machine was not what was hired",
                },
                if owed.is_zero() {
                    String::new()
                } else {
                    format!(" Of it, {} is still to come.", io(*owed))
                }
            ),
        ),
        Notice::LeaseRefunded { amount, detail, .. } => (
            format!("{} of your earnings was taken back", io(*amount)),
            format!(
                "Your machine was not what was hired: {detail}\nWhat it earned with that lease, {}, went back to the requester.",
                io(*amount)
            ),
        ),
        Notice::PayoutUpdated {
            state,
            amount,
            reason,
            ..
        } => (
            format!("Payout of {}: {}", io(*amount), plain(state.as_str())),
            format!(
                "Your payout of {} is now: {}.{}",
                io(*amount),
                plain(state.as_str()),
                because(reason.as_ref())
            ),
        ),
        Notice::PayoutAddressUpdated {
            change,
            address,
            at,
        } => match change {
            AddressChange::Asked => (
                "Your payout address is to change".to_owned(),
                format!(
                    "From {at} on, your earnings are to be paid out to {address}.\nIf this was not you, take the change back on the earnings page before then, and sign out everywhere."
                ),
            ),
            AddressChange::Changed => (
                "Your payout address has changed".to_owned(),
                format!("Your earnings are paid out to {address} from now on."),
            ),
            AddressChange::Cancelled => (
                "Your payout address stays".to_owned(),
                format!("The change to {address} was taken back."),
            ),
        },
        Notice::WalletLinked { address, wallet } => (
            "A wallet can sign in to your account".to_owned(),
            format!(
                "{wallet} with the address {address} was linked to your account and can sign in from now on.\nIf this was not you, unlink it on the account page and sign out everywhere."
            ),
        ),
        Notice::DepositUpdated {
            state,
            amount,
            reason,
            ..
        } => (
            format!("Deposit of {}: {}", io(*amount), plain(state.as_str())),
            format!(
                "Your deposit of {} is now: {}.{}",
                io(*amount),
                plain(state.as_str()),
                because(reason.as_ref())
            ),
        ),
        Notice::ChannelUpdated {
            channel,
            step,
            amount,
            until,
        } => channels::channel_en(channel, *step, *amount, *until),
        Notice::VoucherUpdated {
            channel,
            state,
            open,
            until,
            ..
        } => channels::voucher_en(channel, *state, *open, *until),
        Notice::DisputeUpdated {
            state,
            lease,
            refunded,
            ruling,
            ..
        } => (
            format!("Dispute about a lease: {}", plain(state.as_str())),
            format!(
                "The dispute about lease {lease} is now: {}.{}{}",
                plain(state.as_str()),
                refunded
                    .map(|amount| format!(" Back to the requester: {}.", io(amount)))
                    .unwrap_or_default(),
                because(ruling.as_ref())
            ),
        ),
        Notice::IncidentOpened { kind, detail, .. } => (
            format!("Incident: {}", plain(kind.as_str())),
            format!("The platform's books, leases or receipts do not agree.\n{detail}"),
        ),
        Notice::DeviceFault {
            name,
            model,
            uuid,
            fault,
            ..
        } => (
            format!("{name}: {model} reports a fault"),
            format!("{model} ({uuid}) on {name}: {}.", fault.sentence()),
        ),
        Notice::SearchMatched {
            name,
            offers,
            offer,
            ..
        } => (
            format!("{name}: {} is offered", offer.model),
            format!(
                "Your saved search {name} has {offers} new on offer. The cheapest: {} on {} for {} per hour.",
                offer.model,
                offer.node_name,
                io(offer.per_hour)
            ),
        ),
        Notice::WebhookDisabled {
            url, failing_since, ..
        } => (
            "A webhook was switched off".into(),
            format!(
                "Nothing has got through to {url} since {}, so it was switched off.",
                at(*failing_since)
            ),
        ),
        Notice::WebhookTest { .. } => ("A test".into(), "This is a test.".into()),
    }
}

fn zh(notice: &Notice) -> (String, String) {
    let lasts = |seconds| lasts(seconds, Language::Zh);
    match notice {
        Notice::JobStarted { name, restarts, .. } => (
            format!("任务 {name} 已开始运行"),
            format!("您的任务 {name} 已开始运行。此前重启 {restarts} 次。"),
        ),
        Notice::JobEnded {
            name, end, cost, ..
        } => (
            format!("任务 {name} 已结束"),
            format!(
                "您的任务 {name} 已结束。{}\n总费用 {}。",
                end_zh(end),
                io(*cost)
            ),
        ),
        Notice::JobFundsLow {
            name, seconds_left, ..
        } => (
            format!("任务 {name} 将在 {} 后停止", lasts(*seconds_left)),
            format!(
                "任务 {name} 的余额还可用 {}。之后会要求它保存检查点并结束。充值即可继续运行。",
                lasts(*seconds_left)
            ),
        ),
        Notice::JobOutOfFunds { name, cost, .. } => (
            format!("任务 {name} 因余额用完而停止"),
            format!(
                "您的任务 {name} 因余额用完而停止。总费用 {}。它留下的文件会保留。",
                io(*cost)
            ),
        ),
        Notice::BalanceRunway {
            runway_seconds,
            ends_at,
            available,
            held,
            per_hour,
            ..
        } => (
            format!("您的余额还可用 {}", lasts(*runway_seconds)),
            format!(
                "目前的运行费用为每小时 {}。可用 {}，预留 {}，可维持到 {}。余额用完的任务会被要求保存检查点并结束。",
                io(*per_hour),
                io(*available),
                io(*held),
                at(*ends_at)
            ),
        ),
        Notice::JobRefunded {
            name,
            seconds,
            amount,
            owed,
            reason,
            ..
        } => (
            format!("任务 {name} 退回 {}", io(*amount)),
            format!(
                "任务 {name} 的 {} 退回 {}：{}。{}",
                lasts(*seconds),
                io(*amount),
                match reason {
                    RefundReason::LossBound => "丢失的时间超过您设定的上限",
                    RefundReason::SpecMissed => "机器与租用的不符",
                },
                if owed.is_zero() {
                    String::new()
                } else {
                    format!("其中 {} 稍后到账。", io(*owed))
                }
            ),
        ),
        Notice::LeaseRefunded { amount, detail, .. } => (
            format!("收回了您的收益 {}", io(*amount)),
            format!(
                "您的机器与租用的不符：{detail}\n该租约的收益 {} 已退回租用者。",
                io(*amount)
            ),
        ),
        Notice::PayoutUpdated {
            state,
            amount,
            reason,
            ..
        } => (
            format!("提现 {}：{}", io(*amount), payout_zh(*state)),
            format!(
                "您的提现 {} 现在的状态：{}。{}",
                io(*amount),
                payout_zh(*state),
                because(reason.as_ref())
            ),
        ),
        Notice::PayoutAddressUpdated {
            change,
            address,
            at,
        } => match change {
            AddressChange::Asked => (
                "您的收款地址将要更改".to_owned(),
                format!(
                    "从 {at} 起，您的收益将付到 {address}。\n如果不是您本人操作，请在此之前到收益页面撤回更改，并退出所有登录。"
                ),
            ),
            AddressChange::Changed => (
                "您的收款地址已更改".to_owned(),
                format!("从现在起，您的收益付到 {address}。"),
            ),
            AddressChange::Cancelled => (
                "您的收款地址保持不变".to_owned(),
                format!("改为 {address} 的请求已撤回。"),
            ),
        },
        Notice::WalletLinked { address, wallet } => (
            "一个钱包可以登录您的账户".to_owned(),
            format!(
                "{wallet}（地址 {address}）已关联到您的账户，从现在起可以登录。\n如果不是您本人操作，请在账户页面取消关联，并退出所有登录。"
            ),
        ),
        Notice::DepositUpdated {
            state,
            amount,
            reason,
            ..
        } => (
            format!("充值 {}：{}", io(*amount), deposit_zh(*state)),
            format!(
                "您的充值 {} 现在的状态：{}。{}",
                io(*amount),
                deposit_zh(*state),
                because(reason.as_ref())
            ),
        ),
        Notice::ChannelUpdated {
            channel,
            step,
            amount,
            until,
        } => channels::channel_zh(channel, *step, *amount, *until),
        Notice::VoucherUpdated {
            channel,
            state,
            open,
            until,
            ..
        } => channels::voucher_zh(channel, *state, *open, *until),
        Notice::DisputeUpdated {
            state,
            lease,
            refunded,
            ruling,
            ..
        } => (
            format!("一份租约的争议：{}", dispute_zh(*state)),
            format!(
                "关于租约 {lease} 的争议现在的状态：{}。{}{}",
                dispute_zh(*state),
                refunded
                    .map(|amount| format!("退给租用者 {}。", io(amount)))
                    .unwrap_or_default(),
                because(ruling.as_ref())
            ),
        ),
        Notice::IncidentOpened { kind, detail, .. } => (
            format!("事故：{}", plain(kind.as_str())),
            format!("平台的账目、租约或收据不一致。\n{detail}"),
        ),
        Notice::DeviceFault {
            name,
            model,
            uuid,
            fault,
            ..
        } => (
            format!("{name}：{model} 报告故障"),
            format!("{name} 上的 {model}（{uuid}）：{}。", fault.sentence_zh()),
        ),
        Notice::SearchMatched {
            name,
            offers,
            offer,
            ..
        } => (
            format!("{name}：有 {} 可租", offer.model),
            format!(
                "您保存的搜索 {name} 新增 {offers} 个报价。最便宜的是 {} 上的 {}，每小时 {}。",
                offer.node_name,
                offer.model,
                io(offer.per_hour)
            ),
        ),
        Notice::WebhookDisabled {
            url, failing_since, ..
        } => (
            "一个 webhook 已被关闭".into(),
            format!(
                "自 {} 起没有任何通知送达 {url}，因此已将其关闭。",
                at(*failing_since)
            ),
        ),
        Notice::WebhookTest { .. } => ("测试".into(), "这是一条测试。".into()),
    }
}

/// `unsubscribe`: the link that ends these e-mails.
pub(crate) fn of_notice(
    notice: &Notice,
    language: Language,
    portal: &str,
    unsubscribe: &str,
) -> Words {
    let link = format!("{portal}{}", notice.path());
    let ((subject, said), more, end) = match language {
        Language::En => (en(notice), "See more", "To get no more of these e-mails"),
        Language::Zh => (zh(notice), "详情", "不再接收此类邮件"),
    };
    Words {
        subject: one_line(&subject),
        text: format!("{said}\n\n{more}: {link}\n\n-- \n{end}: {unsubscribe}\n"),
    }
}

/// Whether the address is its account's.
pub(crate) fn question(language: Language, portal: &str, link: &str) -> Words {
    match language {
        Language::En => Words {
            subject: "Is this your address?".into(),
            text: format!(
                "Somebody with an account at {portal} wants its notices sent to this address.\n\nIf it was you, confirm it within three days:\n{link}\n\nIf it was not, do nothing: no more will come.\n"
            ),
        },
        Language::Zh => Words {
            subject: "这是您的邮箱吗？".into(),
            text: format!(
                "{portal} 的一位用户希望把通知发送到这个邮箱。\n\n如果是您，请在三天内确认：\n{link}\n\n如果不是，无需任何操作，不会再有邮件。\n"
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{JobId, WebhookId};
    use protocol::notice::DeliveryError;

    fn funds_low(name: &str) -> Notice {
        Notice::JobFundsLow {
            job: JobId::new(Timestamp::from_millis(1), [1; 10]),
            name: name.into(),
            seconds_left: Seconds::new(130),
        }
    }

    #[test]
    fn a_name_cannot_write_a_header() {
        let evil = funds_low("x\r\nBcc: all@example.com\r\n\r\nhello");
        for language in [Language::En, Language::Zh] {
            let words = of_notice(
                &evil,
                language,
                "https://iog.example",
                "https://iog.example/u",
            );
            assert!(!words.subject.chars().any(char::is_control), "{words:?}");
            assert!(words.subject.chars().count() <= SUBJECT_MAX);
        }
        let long = of_notice(&funds_low(&"é".repeat(1_000)), Language::En, "", "");
        assert_eq!(long.subject.chars().count(), SUBJECT_MAX);
    }

    #[test]
    fn a_letter_says_what_happened_where_to_look_and_how_to_end_it() {
        let notice = funds_low("train");
        let words = of_notice(
            &notice,
            Language::En,
            "https://iog.example",
            "https://iog.example/u?x",
        );
        assert_eq!(words.subject, "Job train will be stopped in 2 minutes");
        assert!(
            words
                .text
                .contains(&format!("https://iog.example{}", notice.path()))
        );
        assert!(words.text.contains("https://iog.example/u?x"));
        let words = of_notice(
            &notice,
            Language::Zh,
            "https://iog.example",
            "https://iog.example/u?x",
        );
        assert_eq!(words.subject, "任务 train 将在 2 分钟 后停止");
        let off = Notice::WebhookDisabled {
            webhook: WebhookId::new(Timestamp::from_millis(1), [1; 10]),
            url: "https://a.example/".into(),
            failing_since: Timestamp::from_millis(1_795_700_000_000),
            error: DeliveryError::Timeout,
        };
        let words = of_notice(&off, Language::En, "", "");
        assert!(
            words.text.contains("https://a.example/ since 2026-11-26 1"),
            "{}",
            words.text
        );
    }

    #[test]
    fn a_time_is_said_in_the_unit_that_fits() {
        let said = [0, 119, 120, 7_199, 7_200, 172_799, 172_800]
            .map(|seconds| lasts(Seconds::new(seconds), Language::En));
        let expected = [
            "0 seconds",
            "119 seconds",
            "2 minutes",
            "119 minutes",
            "2 hours",
            "47 hours",
            "2 days",
        ];
        assert_eq!(said, expected);
    }
}
