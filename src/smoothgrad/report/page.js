// An extra: a button that copies a block of code. Without scripts the page lacks nothing else.
for (const block of navigator.clipboard ? document.querySelectorAll("details pre") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.onclick = async () => {
    await navigator.clipboard.writeText(block.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  };
  block.before(button);
}
