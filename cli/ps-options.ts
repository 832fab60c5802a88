// The options of ps that `top` knows: which columns are shown of the processes of a task. All of those are shown, so options
// that choose processes say nothing.
import { usage } from './parse-args.ts'

export type ColumnName =
  | 'user'
  | 'pid'
  | 'ppid'
  | 'c'
  | 'pcpu'
  | 'pmem'
  | 'vsz'
  | 'rss'
  | 'tty'
  | 's'
  | 'stime'
  | 'time'
  | 'etime'
  | 'comm'
  | 'args'

export interface Column {
  readonly name: ColumnName
  readonly head: string
}

export interface PsOptions {
  readonly columns: readonly Column[]
  readonly hasHeads: boolean
}

/** Source: ps(1) of procps: names of columns, and their headings. */
const columns: Readonly<Record<string, Column>> = {
  ...columnsOf('user', 'USER', 'user', 'euser', 'uname'),
  ...columnsOf('pid', 'PID', 'pid', 'tgid'),
  ...columnsOf('ppid', 'PPID', 'ppid'),
  ...columnsOf('c', 'C', 'c'),
  ...columnsOf('pcpu', '%CPU', 'pcpu', '%cpu'),
  ...columnsOf('pmem', '%MEM', 'pmem', '%mem'),
  ...columnsOf('vsz', 'VSZ', 'vsz', 'vsize'),
  ...columnsOf('rss', 'RSS', 'rss', 'rssize', 'rsz'),
  ...columnsOf('tty', 'TT', 'tty', 'tt', 'tname'),
  ...columnsOf('s', 'S', 's', 'state', 'stat'),
  ...columnsOf('stime', 'STIME', 'stime', 'start', 'start_time'),
  ...columnsOf('time', 'TIME', 'time', 'cputime'),
  ...columnsOf('etime', 'ELAPSED', 'etime'),
  ...columnsOf('comm', 'COMMAND', 'comm', 'ucmd', 'ucomm'),
  ...columnsOf('args', 'COMMAND', 'args', 'cmd', 'command'),
}

function columnsOf(name: ColumnName, head: string, ...names: readonly string[]) {
  return Object.fromEntries(names.map((one) => [one, { name, head }]))
}

/** As `ps -ef`, which Docker takes where nothing is said. */
const full = shape('user UID pid PID ppid PPID c C stime STIME tty TTY time TIME args CMD')
/** As `ps aux`. */
const long = shape(
  'user USER pid PID pcpu %CPU pmem %MEM vsz VSZ rss RSS tty TTY s STAT stime START time TIME args COMMAND',
)
/** As `ps -e`. */
const short = shape('pid PID tty TTY time TIME comm CMD')

function shape(text: string): readonly Column[] {
  const words = text.split(' ')
  return words.flatMap((name, at) =>
    at % 2 === 1 ? [] : [{ name: name as ColumnName, head: words[at + 1] ?? '' }],
  )
}

const remedy = 'known are -e, -f, aux, -o COLUMN[=HEAD],… and --no-headers'

/** Errors: USAGE, with the option and what there is. */
export function parsePsOptions(words: readonly string[]): PsOptions {
  if (words.length === 0) return { columns: full, hasHeads: true }
  const chosen: Column[] = []
  let preset = short
  let hasHeads = true
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? ''
    const list = listIn(word)
    if (list !== undefined) {
      if (list === '') at += 1
      chosen.push(...columnsIn(list === '' ? (words[at] ?? '') : list))
    } else if (/^--no-head(er|ers|ing|ings)$/.test(word)) hasHeads = false
    else preset = presetOf(word, preset)
  }
  return { columns: chosen.length > 0 ? chosen : preset, hasHeads }
}

/** What follows -o in the same word, empty when it is the next one; undefined for another option. */
function listIn(word: string): string | undefined {
  return /^(?:-?[Aaex]*o|--format(?:=|$))(.*)$/.exec(word)?.[1]
}

function presetOf(word: string, preset: readonly Column[]): readonly Column[] {
  if (!/^-?[Aaefuxw]+$/.test(word)) throw usage(`unknown ps option "${word}": ${remedy}`)
  if (word.includes('u')) return long
  return word.includes('f') ? full : preset
}

/** "pid,comm=NAME": a heading of one's own ends the list, as in ps. */
function columnsIn(list: string): readonly Column[] {
  const equals = list.indexOf('=')
  const names = (equals < 0 ? list : list.slice(0, equals)).split(/[, ]+/)
  return names.map((name, at) => {
    const column = columns[name]
    if (column === undefined) {
      const known = Object.keys(columns).join(', ')
      throw usage(`unknown ps column "${name}": known are ${known}`)
    }
    const isLast = at === names.length - 1
    return isLast && equals >= 0 ? { ...column, head: list.slice(equals + 1) } : column
  })
}
