//! The frame around every page: places, meter, refusals, accounts, columns of money.

words! {
    // The frame
    site_description: "IOG rents GPUs and CPUs by the second. See the price per hour, launch a job, watch it live, and pay only for delivered seconds.", "IOG 按秒出租 GPU 和 CPU。查看每小时价格，提交任务，实时观察，只为实际交付的秒数付费。";
    skip: "Skip to content", "跳到正文";
    nav_label: "Main", "主导航";
    nav_phone: "Places", "主要页面";
    nav_bar: "Meter and places", "计量与页面";
    nav_home: "IOG, to the market", "IOG，前往市场";
    nav_market: "Market", "市场";
    nav_jobs: "Jobs", "任务";
    nav_earn: "Earn", "收益";
    nav_me: "Me", "我的";
    language: "Language", "语言";
    theme: "Theme", "主题";
    theme_auto: "Auto", "自动";
    theme_light: "Light", "浅色";
    theme_dark: "Dark", "深色";
    foot_note: "Internet of GPUs", "GPU 互联网";
    close: "Close", "关闭";
    cancel: "Cancel", "取消";
    retry: "Try again", "重试";
    go_back: "Back", "返回";
    loading: "Loading", "正在加载";
    older: "Older", "更早的";
    copied: "Copied", "已复制";
    hash_copy: "Copy the hash", "复制哈希";
    copy_by_hand: "This browser does not let the page copy. Select the text and copy it.", "浏览器不允许本页复制，请选中文字后自行复制。";
    unit_d: "d", "天";
    unit_h: "h", "小时";
    unit_min: "min", "分";
    unit_s: "s", "秒";
    unit_price: "IO/h", "IO/小时";

    // The meter and the live link
    meter_label: "Rate, spent and runway; to billing", "速率、已花费与可用时长；前往账单";
    meter_rate: "Rate", "速率";
    meter_spent: "Spent", "已花费";
    meter_spent_running: "Spent, running", "运行中已花费";
    meter_runway: "Runway", "可用时长";
    meter_balance: "Balance", "余额";
    link_still: "As of page load", "加载时的数据";
    link_live: "Live", "实时";
    link_retrying: "Reconnecting", "正在重连";
    link_offline: "Offline", "离线";
    stale_retrying: "The connection was lost. What you see may be old; it is updated as soon as the server answers again.", "连接已断开。当前显示的可能是旧数据，服务器恢复后会立即更新。";
    stale_offline: "You are offline. What you see is the last that was known.", "您已离线。当前显示的是最后已知的数据。";

    // Refusals
    fault_invalid: "Something needs a change", "有内容需要修改";
    fault_unauthenticated: "Please sign in", "请先登录";
    fault_forbidden: "Not allowed", "没有权限";
    fault_not_found: "Not found", "找不到";
    fault_conflict: "Not possible in this state", "当前状态下无法进行";
    fault_no_match: "No offer matches", "没有匹配的设备";
    fault_funds: "Not enough balance", "余额不足";
    fault_too_large: "Too large", "内容过大";
    fault_too_many: "Too many requests", "请求过于频繁";
    fault_internal: "Something went wrong on our side", "我们这边出了问题";
    fault_unavailable: "Not available right now", "暂时不可用";
    not_found_title: "This page does not exist", "页面不存在";
    not_found_text: "The address may be mistyped, or what was here is gone.", "地址可能有误，或者内容已被移除。";
    not_found_action: "To the market", "前往市场";

    // Accounts
    sign_in: "Sign in", "登录";
    sign_in_lead: "To rent devices, or to see what yours earn.", "登录后即可租用设备，或查看您的设备收益。";
    sign_up: "Create an account", "创建账户";
    sign_up_lead: "One account rents and earns.", "同一个账户既可租用，也可出租。";
    sign_out: "Sign out", "退出登录";
    sign_out_everywhere: "Sign out everywhere", "退出所有设备";
    no_account: "No account yet?", "还没有账户？";
    have_account: "Already have an account?", "已有账户？";
    name: "Name", "名称";
    email: "E-mail", "邮箱";
    password: "Password", "密码";
    password_hint: "At least 8 characters; a few words you remember are good.", "至少 8 个字符；几个您记得住的词就很好。";
    account_title: "Account", "账户";
    account_who: "Who you are", "您的信息";
    account_id: "Account ID", "账户编号";
    account_since: "Since", "注册时间";
    tab_account: "Account", "账户";
    tab_billing: "Billing", "账单";
    sessions: "Sessions", "登录会话";
    sessions_text: "A session ends after 14 days. If a device is lost, end all of them.", "会话在 14 天后结束。如有设备遗失，请结束所有会话。";
    keys_title: "API keys", "API 密钥";
    keys_text: "A key lets a program act for you, within its scopes. Only its hash is stored.", "密钥让程序在其权限范围内代表您操作。我们只保存它的哈希值。";
    keys_none: "No keys yet.", "还没有密钥。";
    key_name: "Name of the key", "密钥名称";
    key_scopes: "What it may do", "权限范围";
    key_make: "Create key", "创建密钥";
    key_made: "Copy the key now; it is shown this once.", "请立即复制密钥，它只显示这一次。";
    key_copy: "Copy the key", "复制密钥";
    key_used: "Last used", "最近使用";
    key_never: "Never", "从未使用";
    key_revoke: "Revoke", "撤销";
    key_revoked: "Key revoked", "密钥已撤销";
    scope_read: "Read: see everything of the account", "读取：查看账户的全部内容";
    scope_jobs: "Jobs: quote, submit and stop", "任务：报价、提交和停止";
    scope_nodes: "Nodes: join, price, pause and remove", "机器：加入、定价、暂停和移除";

    // Columns of money
    col_entry: "What", "类型";
    col_amount: "Amount", "金额";
    col_from: "From", "来自";
    col_to: "To", "去向";
    col_when: "When", "时间";
}
