//! What each notice says in Chinese: the subject and the text, with the states' names.

use protocol::money::{DepositState, DisputeState, PayoutState, RefundReason};
use protocol::notice::{Language, Notice};
use protocol::state::RunEnd;
use protocol::wallet::AddressChange;

use super::{at, because, channels, io, lasts, plain};

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

pub(super) fn zh(notice: &Notice) -> (String, String) {
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
                    RefundReason::WrongSlice =>
                        "另外两台机器重新计算同一切片，彼此一致而与交付结果不符",
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
