//! Work in a running job. Only the server writes these.

words! {
    work_over: "The job is over; nothing runs that could be worked in. What it left is under Files.", "任务已结束，没有可操作的运行环境。任务留下的文件在“文件”中。";
    work_noscript: "A shell and the files of a running job need JavaScript. Without it, use the command: iog ssh, iog cp.", "Shell 和运行中任务的文件需要 JavaScript。没有 JavaScript 时请使用命令：iog ssh、iog cp。";
    work_machine: "Machine", "机器";
    work_offline: "The server could not be reached.", "无法连接服务器。";
    shell_title: "Shell", "Shell";
    shell_open: "Open a shell", "打开 Shell";
    shell_close: "Close", "关闭";
    shell_keys: "Keys that a phone does not have", "手机键盘上没有的按键";
    shell_note: "It runs beside the job, with the job's rights, within its memory and processes. Opening and closing it stands in the job's history; what you type does not. It closes after 30 minutes without use.", "Shell 与任务并行运行，权限、内存和进程数都受任务限制。打开和关闭会记入任务历史，输入内容不会。30 分钟不使用会自动关闭。";
    shell_connecting: "Connecting to the job's machine", "正在连接任务所在的机器";
    shell_connected: "Connected.", "已连接。";
    shell_ended: "The shell has ended. Exit code:", "Shell 已结束，退出码：";
    shell_idle: "Closed because it was not used. Open it again to go on.", "因长时间未使用已关闭。可以重新打开。";
    shell_lost: "The connection is gone; the shell has ended. Open another to go on.", "连接已断开，Shell 已结束。可以重新打开。";
    shell_refused: "It could not be opened.", "无法打开。";
    work_files: "Files of the running job", "运行中任务的文件";
    work_again: "Read again", "刷新";
    work_upload: "Upload a file", "上传文件";
    work_uploading: "Uploading", "正在上传";
    work_uploaded: "The job has it now:", "任务现在有此文件：";
    work_large: "A file may have at most 256 MiB; put larger ones into a bundle.", "文件最大 256 MiB，更大的请放进输入包。";
    work_refused: "It was not accepted:", "未被接受：";
    work_empty: "Nothing is here.", "这里没有文件。";
    work_more: "There is more than is shown; use the shell for the rest.", "还有更多未显示，请用 Shell 查看。";
    work_shut: "The job does not run at the moment. This looks again by itself.", "任务当前没有运行，会自动再次查看。";
    work_gone: "This directory is not there any more.", "此目录已不存在。";
    work_failed: "The job's machine could not be asked.", "无法询问任务所在的机器。";
    tab_work: "Work", "操作";
    event_shell_opened: "A shell was opened in it", "在任务中打开了 Shell";
    event_shell_closed: "A shell in it was closed", "任务中的 Shell 已关闭";
    event_file_stored: "A file was put into it", "向任务中放入了文件";
}
