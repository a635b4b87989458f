// The quote of a template's page follows what is typed: the page with the new values is asked for, and what it says of them
// is put in. Without this script the button beside the form does the same.
let asked = 0;
document.addEventListener("change", async (event) => {
  const form = event.target.closest?.("form[data-quoted]");
  if (!form) return;
  const mine = ++asked;
  const values = new URLSearchParams(new FormData(form));
  values.delete("request");
  const address = `${form.getAttribute("action")}?${values}`;
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [fresh, old] = [page, document].map((one) => one.querySelector("[data-quote]"));
    if (mine === asked && fresh && old) {
      old.replaceWith(document.adoptNode(fresh));
      history.replaceState(history.state, "", address);
    }
  } catch {
    // The server is away; the next change asks again.
  }
});
