// Manual pages: one for each command, from what its help says, and nothing in it that the formatter takes for a request.
import t from 'tap'
import { manPages } from '../../../cli/man.ts'
import { groups, plainCommands } from '../../../cli/registry.ts'

const pages = await manPages('1.2.3', '2026-01-02')
const page = (file: string): string => pages.find((one) => one.file === file)?.text ?? ''

t.test('each command has a page, and the program one that names them all', async (t) => {
  const names = [
    ...groups.flatMap(({ name, commands }) =>
      Object.keys(commands).map((verb) => `${name}-${verb}`),
    ),
    ...plainCommands.map(({ name }) => name),
  ]
  t.same(
    pages.map(({ file }) => file),
    ['tsswarm.1', ...names.map((name) => `tsswarm-${name}.1`)],
  )
  for (const name of names) {
    t.match(page('tsswarm.1'), `\\fBtsswarm\\-${name.replaceAll('-', '\\-')}\\fR(1)\n`)
  }
})

t.test('a page has what the help has', async (t) => {
  const text = page('tsswarm-service-scale.1')
  t.match(text, /^\.TH TSSWARM\\-SERVICE\\-SCALE 1 "2026-01-02" "tsswarm 1\.2\.3" "tsswarm"\n/)
  t.match(text, '.SH SYNOPSIS\n\\fBtsswarm service scale\\fR [\\fIOPTIONS\\fR] SERVICE=REPLICAS')
  t.match(text, '.TP\n\\fB\\-d, \\-\\-detach\\fR\n')
  t.match(text, /\.SH EXAMPLES\n\.TP\n.+\n\\fBtsswarm service scale/)
  t.match(page('tsswarm-service-ls.1'), 'Also: \\fBtsswarm service list\\fR')
})

t.test('lines that begin with a dot are requests that are meant', async (t) => {
  const meant = /^\.(TH|SH|TP|PP|br)( |$)/
  for (const { file, text } of pages) {
    const lines = text.split('\n').filter((line) => /^[.']/.test(line) && !meant.test(line))
    t.same(lines, [], file)
    t.notMatch(
      text,
      /\\(?![-&efI([])|[^\n\x20-\x7e]/,
      `${file}: every backslash is one of ours, every letter ASCII`,
    )
    t.ok(text.includes('.SH NAME\n') && text.endsWith('\n'))
  }
})
