// Passkeys, and nothing else: the pages before anybody is signed in work without this, but for these.
{
const $ = selector => document.querySelector(selector);
const bytes = text => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), sign => sign.charCodeAt(0));
const text = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const send = async (path, body) => {
  const answer = await fetch(path, {
    method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.title + ". " + found.fix);
  return found;
};
const failed = error => {
  // A person who closed their device's question knows why; what we say ourselves is said.
  $("#passkey-said").textContent = error instanceof DOMException ? $("#passkey-way").dataset.broken ?? "Nothing was done. Try again." : error.message;
};
if (self.PublicKeyCredential) for (const each of document.querySelectorAll("[data-scripted]")) each.hidden = false;

$("#passkey")?.addEventListener("click", async () => {
  try {
    const asked = await send("/signin/passkey:ask", {});
    const made = await navigator.credentials.get({ publicKey: {
      ...asked, challenge: bytes(asked.challenge),
      allowCredentials: (asked.allowCredentials ?? []).map(each => ({ ...each, id: bytes(each.id) })),
    } });
    const { response } = made;
    const done = await send("/signin/passkey", {
      id: made.id, rawId: text(made.rawId), type: made.type,
      response: {
        clientDataJSON: text(response.clientDataJSON), authenticatorData: text(response.authenticatorData),
        signature: text(response.signature), userHandle: response.userHandle && text(response.userHandle),
      },
    });
    location.assign(done.next);
  } catch (error) { failed(error); }
});

$("#passkey-make")?.addEventListener("click", async event => {
  const token = event.currentTarget.dataset.token ?? "";
  try {
    const asked = await send("/enrol/passkey:ask", { token });
    const made = await navigator.credentials.create({ publicKey: {
      ...asked, challenge: bytes(asked.challenge), user: { ...asked.user, id: bytes(asked.user.id) },
      excludeCredentials: (asked.excludeCredentials ?? []).map(each => ({ ...each, id: bytes(each.id) })),
    } });
    const done = await send("/enrol/passkey", {
      token, label: $("#label")?.value ?? "",
      made: {
        id: made.id, rawId: text(made.rawId), type: made.type,
        response: {
          clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject),
        },
      },
    });
    location.assign(done.next);
  } catch (error) { failed(error); }
});

$("[data-print]")?.addEventListener("click", () => print());
addEventListener("pageshow", event => {
  if (event.persisted) { document.documentElement.hidden = true; location.reload(); }
});
}
