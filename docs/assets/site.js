// Set the formulas, which pymdownx.arithmatex has put between \( \) or \[ \].
document.querySelectorAll(".arithmatex").forEach((element) => {
  const text = element.textContent
  katex.render(text.slice(2, -2), element, { displayMode: text.startsWith("\\[") })
})

// Blocks, tables and formulas that are wider than the page can be scrolled with the keyboard.
function focusable() {
  const wide = ".md-content pre > code, .md-typeset__scrollwrap, .katex-display"
  document.querySelectorAll(wide).forEach((element) => {
    if (element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight) {
      element.tabIndex = 0
    } else {
      element.removeAttribute("tabindex")
    }
  })
}
addEventListener("load", focusable)
addEventListener("resize", focusable)
