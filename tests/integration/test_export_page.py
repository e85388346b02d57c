#!/usr/bin/python3
# test_export_page.py: the page of an export in a browser: narrow and wide, by keyboard, copied from
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import runner
from browser import Browser
from exportcase import ExportCase

NAME = "a-rather-long-name-of-an-image-" + "x" * 60 + ' 图像 "12" <b>.raw'
LANGUAGES = {"en": ("Download", "Copy URL", "Copied"), "zh-CN": ("下载", "复制 URL", "已复制")}

# What sticks out of the window, or of what it stands in.
CUT_OFF = """[...document.querySelectorAll('main *')].filter(e => {
    const r = e.getBoundingClientRect();
    return r.width && (r.left < 0 || r.right > innerWidth || e.tagName != 'INPUT' &&
        e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display != 'inline');
}).map(e => e.tagName + ' ' + e.textContent.slice(0, 30))"""
CLIPBOARD = "navigator.clipboard.writeText = t => {window.taken = t; return Promise.resolve()}; 0"
# as a browser has none without TLS, but from its own host
NO_CLIPBOARD = """Object.defineProperty(navigator, 'clipboard', {value: undefined});
document.addEventListener('copy', () => {
    const field = document.activeElement;
    window.taken = field.value.slice(field.selectionStart, field.selectionEnd);
}); 0"""
FOCUSED = "document.activeElement.id"
OUTLINE = "getComputedStyle(document.activeElement).outlineStyle"


class Page(ExportCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.image = self.raw()
        self.ctl("upload", self.image, self.pool(), NAME, "--format=raw")
        self.url = self.export(self.name, NAME)
        self.page = self.url.rpartition("/")[0]

    def test_page(self):
        b = self.browser
        for width in (360, 1280):
            for language, words in LANGUAGES.items():
                with self.subTest(language, width=width):
                    b.size(width, 800)
                    b.open(self.page, language)
                    self.look(b, language, words, clipboard=width > 360)

    def look(self, b, language, words, clipboard):
        self.assertEqual(b.run("document.documentElement.lang"), language)
        self.assertEqual(b.run("document.title"), NAME)
        self.assertEqual(b.run(CUT_OFF), [])
        self.assertLessEqual(b.run("document.documentElement.scrollWidth"), b.run("innerWidth"))
        text = b.run("document.body.innerText")
        for part in (NAME, "raw", str(self.image.stat().st_size), *words[:2]):
            self.assertIn(part, text)
        self.assertEqual(b.run("document.getElementById('download').href"), self.url)
        self.by_keyboard(b, words, clipboard)

    def by_keyboard(self, b, words, clipboard):
        reached = []
        for _ in range(3):
            b.press("Tab", 9)
            reached.append(b.run(FOCUSED))
            self.assertNotEqual(b.run(OUTLINE), "none")
        self.assertEqual(reached, ["url", "download", "copy"])
        # what is copied ends where it can be read again
        b.run(CLIPBOARD if clipboard else NO_CLIPBOARD)
        b.enter()
        self.eventually("nothing was copied", lambda: b.run("window.taken"))
        self.assertEqual(b.run("window.taken"), self.url)
        self.assertEqual(b.run("document.getElementById('copy').textContent"), words[2])

    def test_other_clients(self):
        self.assertEqual(self.curl(self.page, "-f"), self.image.read_bytes())
        page = self.curl(self.page, "-f", "-H", "Accept: text/html").decode()
        self.assertIn("<!DOCTYPE html>", page)
        answer = self.head(self.page, "-H", "Accept: text/html")
        self.assertIn("default-src 'none'", answer.headers["content-security-policy"])


if __name__ == "__main__":
    runner.main("page")
