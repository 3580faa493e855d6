// What a page to print gains from scripts: the button. Without it the browser's own command does.
import './print.css'

for (const button of document.querySelectorAll<HTMLButtonElement>('[data-print]')) {
  button.hidden = false
  button.addEventListener('click', () => print())
}
