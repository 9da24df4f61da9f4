// Runs where the instrument itself cannot: a page that was opened as a file may not load its parts.
if (location.protocol === 'file:')
  document.getElementById('said').textContent =
    'A browser does not let a page that was opened as a file load its parts. In this folder, type: python -m http.server. Then open http://localhost:8000'
