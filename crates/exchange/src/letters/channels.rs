//! Of escrow channels and of the vouchers on them.

use kernel::{Amount, Timestamp};
use protocol::money::{ChannelState, ChannelStep};

use super::{at, io};

type Said = (String, String);

fn by(until: Option<Timestamp>) -> String {
    until.map(at).unwrap_or_default()
}

pub(super) fn channel_en(
    channel: &str,
    step: ChannelStep,
    amount: Option<Amount>,
    until: Option<Timestamp>,
) -> Said {
    let amount = io(amount.unwrap_or_default());
    let (subject, text) = match step {
        ChannelStep::Opened => (
            "Your escrow channel is open".to_owned(),
            format!("{amount} is locked in it. Your jobs are paid from it first."),
        ),
        ChannelStep::ToppedUp => (
            format!("{amount} was added to your escrow channel"),
            "Your jobs are paid from it first.".to_owned(),
        ),
        ChannelStep::Idle => (
            "An escrow channel of yours is not used".to_owned(),
            format!(
                "It was opened beside another one, or with another key, so no job is paid from it. Close it on the billing page: a day later the {amount} in it can go back to your wallet."
            ),
        ),
        ChannelStep::Closing => (
            "Your escrow channel is being closed".to_owned(),
            format!(
                "No new job is paid from it. Owners can redeem their vouchers until {}; after that, finish the close on the billing page, and what is left goes back to your wallet.\nIf this was not you, somebody else can sign with your wallet.",
                by(until)
            ),
        ),
        ChannelStep::Closed => (
            "Your escrow channel is closed".to_owned(),
            format!("{amount} went back to your wallet."),
        ),
    };
    (subject, format!("{text}\nChannel: {channel}"))
}

pub(super) fn channel_zh(
    channel: &str,
    step: ChannelStep,
    amount: Option<Amount>,
    until: Option<Timestamp>,
) -> Said {
    let amount = io(amount.unwrap_or_default());
    let (subject, text) = match step {
        ChannelStep::Opened => (
            "您的支付通道已开通".to_owned(),
            format!("其中锁定了 {amount}，您的任务将优先从中支付。"),
        ),
        ChannelStep::ToppedUp => (
            format!("您的支付通道增加了 {amount}"),
            "您的任务将优先从中支付。".to_owned(),
        ),
        ChannelStep::Idle => (
            "您的一个支付通道未被使用".to_owned(),
            format!(
                "它在另一个通道之外开通，或使用了别的密钥，因此不会从中支付任务。请在账单页面关闭它：一天后其中的 {amount} 可退回您的钱包。"
            ),
        ),
        ChannelStep::Closing => (
            "您的支付通道正在关闭".to_owned(),
            format!(
                "不再从中支付新任务。机主可在 {} 前兑付凭证；之后请在账单页面完成关闭，余额将退回您的钱包。\n如果不是您本人操作，说明有他人能用您的钱包签名。",
                by(until)
            ),
        ),
        ChannelStep::Closed => (
            "您的支付通道已关闭".to_owned(),
            format!("{amount} 已退回您的钱包。"),
        ),
    };
    (subject, format!("{text}\n通道：{channel}"))
}

pub(super) fn voucher_en(
    channel: &str,
    state: ChannelState,
    open: Amount,
    until: Option<Timestamp>,
) -> Said {
    let open = io(open);
    let (subject, text) = if state == ChannelState::Closed {
        (
            "An escrow channel was closed before your voucher was redeemed".to_owned(),
            format!(
                "{open} of your voucher was not redeemed in time, and the chain does not pay it any more. Those who run the platform were told."
            ),
        )
    } else {
        (
            "An escrow channel that owes you is being closed".to_owned(),
            format!(
                "{open} of your voucher is not redeemed. The platform hands it in before {}; you can do so yourself on the earnings page, or with the voucher's file. After that it is worth nothing.",
                by(until)
            ),
        )
    };
    (subject, format!("{text}\nChannel: {channel}"))
}

pub(super) fn voucher_zh(
    channel: &str,
    state: ChannelState,
    open: Amount,
    until: Option<Timestamp>,
) -> Said {
    let open = io(open);
    let (subject, text) = if state == ChannelState::Closed {
        (
            "支付通道在您的凭证兑付前已关闭".to_owned(),
            format!("您的凭证有 {open} 未及时兑付，链上不再支付。平台运营方已收到通知。"),
        )
    } else {
        (
            "一个欠您款项的支付通道正在关闭".to_owned(),
            format!(
                "您的凭证还有 {open} 未兑付。平台会在 {} 前提交兑付；您也可以在收益页面或用凭证文件自行兑付。逾期凭证作废。",
                by(until)
            ),
        )
    };
    (subject, format!("{text}\n通道：{channel}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_names_sum_channel_and_time_in_both_languages() {
        let (sum, until) = (
            Amount::try_from_base(250_000_000).expect("fine"),
            Some(Timestamp::from_millis(1_795_700_000_000)),
        );
        let steps = [
            ChannelStep::Opened,
            ChannelStep::ToppedUp,
            ChannelStep::Idle,
            ChannelStep::Closing,
            ChannelStep::Closed,
        ];
        for step in steps {
            let all = [
                channel_en("0xabc", step, Some(sum), until),
                channel_zh("0xabc", step, Some(sum), until),
            ];
            for (subject, text) in all {
                let said = format!("{subject}\n{text}");
                let figure = if step == ChannelStep::Closing {
                    "2026-11-26"
                } else {
                    "2.5000 IO"
                };
                assert!(said.contains(figure) && said.contains("0xabc"), "{said}");
            }
        }
        for state in [ChannelState::Closing, ChannelState::Closed] {
            let until = until.filter(|_| state == ChannelState::Closing);
            let all = [
                voucher_en("0xabc", state, sum, until),
                voucher_zh("0xabc", state, sum, until),
            ];
            for (subject, text) in all {
                let said = format!("{subject}\n{text}");
                assert!(
                    said.contains("2.5000 IO") && said.contains("0xabc"),
                    "{said}"
                );
                let is_timed = said.contains("2026-11-26");
                assert_eq!(is_timed, until.is_some(), "{said}");
            }
        }
    }
}
