import t from 'tap'
import {
  abandoned,
  forgottenFlows,
  halfOpen,
  strayFlows,
  tracked,
  type Way,
} from '../../../../worker/network/flows.ts'
import type { Piece } from '../../../../worker/network/pieces.ts'

const vip = '10.1.0.2'
const way = (serving: readonly string[], members = serving, at = vip): Way => ({
  at,
  serving,
  members,
})
const leads = (...ways: readonly Way[]): readonly Piece[] => [{ ways }]
const texts = (all: readonly (readonly string[])[]): readonly string[] =>
  all.map((args) => args.join(' '))

/** As `conntrack -L` prints it. */
function flow(protocol: 'udp' | 'tcp', to: string, answeredBy: string, port = 7): string {
  const state = protocol === 'udp' ? 'udp      17 28' : 'tcp      6 431999 ESTABLISHED'
  return `${state} src=10.1.0.5 dst=${to} sport=4000 dport=${port} src=${answeredBy} dst=10.1.0.5 sport=7 dport=4000 [ASSURED] mark=0 use=1`
}

t.test('who serves no longer gets no more datagrams by that address', (t) => {
  const forgotten = forgottenFlows(
    leads(way(['10.1.0.11', '10.1.0.12'])),
    leads(way(['10.1.0.11'])),
  )
  t.same(texts(forgotten), ['-p udp -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.12'])
  t.end()
})

t.test('also when the same address serves another service from the same moment on', (t) => {
  const other = way(['10.1.0.12'], ['10.1.0.12'], '10.1.0.3')
  const forgotten = forgottenFlows(leads(way(['10.1.0.12'])), leads(way([]), other))
  t.match(texts(forgotten), ['-p udp -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.12'])
  t.end()
})

t.test('flows to a virtual address that is new were let through to nobody', (t) => {
  t.same(texts(forgottenFlows([], leads(way(['10.1.0.11'])))), [
    '-p udp -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.2',
  ])
  t.end()
})

t.test('of ports only those of UDP, and with their number', (t) => {
  const ports = (serving: readonly string[]): readonly Piece[] =>
    leads(
      way(serving, [], '169.254.77.2 udp 8080'),
      way(serving, [], '169.254.77.2 tcp 8080'),
      way(
        serving.map(() => 'fd00::5'),
        [],
        'fd77::2 udp 8080',
      ),
    )
  t.same(texts(forgottenFlows(ports(['10.0.0.5']), ports([]))), [
    '-p udp -f ipv4 --orig-dst 169.254.77.2 --orig-port-dst 8080 --reply-src 10.0.0.5',
    '-p udp -f ipv6 --orig-dst fd77::2 --orig-port-dst 8080 --reply-src fd00::5',
  ])
  t.end()
})

t.test('a port that is open to fewer is asked again by all who send to it', (t) => {
  const at = '169.254.77.2 udp 8080'
  const open = (...openTo: readonly string[]): readonly Piece[] => [
    { ways: [{ ...way(['10.0.0.5'], ['10.0.0.5'], at), ...(openTo.length > 0 && { openTo }) }] },
  ]
  const lost = ['-p udp -f ipv4 --orig-dst 169.254.77.2 --orig-port-dst 8080 --reply-src 10.0.0.5']
  t.same(texts(forgottenFlows(open(), open('10.0.0.0/8'))), lost)
  t.same(texts(forgottenFlows(open('10.0.0.0/8', '192.0.2.1'), open('192.0.2.1'))), lost)
  t.same(texts(forgottenFlows(open('192.0.2.1'), open('192.0.2.1', '10.0.0.0/8'))), [])
  t.same(texts(forgottenFlows(open('192.0.2.1'), open())), [])
  t.end()
})

t.test('of a task that is gone nothing is left, of one that only changed everything', (t) => {
  const before = [{ members: ['10.1.0.11'] }, { members: ['10.1.0.12', 'fd00::12'] }]
  const forgotten = forgottenFlows(before, [{ members: ['10.1.0.11'] }])
  t.same(texts(forgotten), ['-f ipv4 --reply-src 10.1.0.12', '-f ipv6 --reply-src fd00::12'])
  t.end()
})

t.test('what is tracked is compared with what leads', (t) => {
  const pieces: readonly Piece[] = [
    { ways: [way(['10.1.0.11'], ['10.1.0.11', '10.1.0.12'])] },
    { ways: [way(['10.1.0.11'], ['10.1.0.11'], '169.254.77.2 udp 8080')] },
    { members: ['10.1.0.11', '10.1.0.12', '10.1.0.13'] },
  ]
  const listing = [
    flow('udp', vip, '10.1.0.11'),
    flow('tcp', vip, '10.1.0.11'),
    flow('tcp', vip, '10.1.0.12'),
    flow('tcp', vip, vip),
    flow('udp', '10.1.0.11', '10.1.0.11'),
    flow('udp', '169.254.77.2', '10.1.0.11', 8080),
    flow('udp', '169.254.77.2', '172.30.0.9', 9090),
    flow('udp', '192.0.2.1', '192.0.2.1'),
    'icmp     1 29 src=10.1.0.5 dst=10.1.0.2 type=8 code=0 id=1 src=10.1.0.2 dst=10.1.0.5',
    '',
  ]
  t.same(strayFlows(listing.join('\n'), pieces), [], 'all of these may be')
  const strays = [
    [flow('udp', vip, '10.1.0.12'), '-p udp -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.12'],
    [flow('tcp', vip, '10.1.0.13'), '-p tcp -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.13'],
    [flow('udp', vip, vip), '-p udp -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.2'],
    [flow('udp', '10.1.0.13', '10.1.0.12'), '-f ipv4 --orig-dst 10.1.0.13 --reply-src 10.1.0.12'],
    [
      flow('udp', '169.254.77.2', '10.1.0.13', 8080),
      '-p udp -f ipv4 --orig-dst 169.254.77.2 --orig-port-dst 8080 --reply-src 10.1.0.13',
    ],
  ] as const
  for (const [line, expected] of strays) {
    t.same(texts(strayFlows(`${line}\n${line}\n`, pieces)), [expected])
  }
  t.end()
})

t.test('of many only those are sought that there are', (t) => {
  const sought = [
    ['-f', 'ipv4', '--reply-src', '10.1.0.11'],
    ['--reply-src', '10.1.0.12'],
  ]
  t.same(tracked(flow('udp', vip, '10.1.0.12'), sought), [sought[1]])
  const narrow = [
    ['-p', 'udp', '-f', 'ipv4', '--orig-dst', vip, '--reply-src', '10.1.0.12'],
    ['-p', 'udp', '-f', 'ipv4', '--orig-dst', '10.1.0.3', '--reply-src', '10.1.0.12'],
    ['-p', 'tcp', '-f', 'ipv4', '--orig-dst', vip, '--reply-src', '10.1.0.12'],
    ['-p', 'udp', ...['--orig-dst', vip, '--orig-port-dst', '8'], '--reply-src', '10.1.0.12'],
    halfOpen('10.1.0.12'),
  ]
  t.same(tracked(flow('udp', vip, '10.1.0.12'), narrow), [narrow[0]], 'not what is alike')
  t.same(tracked(flow('tcp', vip, '10.1.0.12'), narrow), [narrow[2]], 'nor what was answered')
  const begun = flow('tcp', vip, '10.1.0.12').replace('ESTABLISHED', 'SYN_SENT')
  t.same(tracked(begun, narrow), [narrow[2], narrow[4]])
  t.end()
})

t.test(
  'an address that any way leads to no more is abandoned, whatever becomes of its task',
  (t) => {
    const port = (serving: readonly string[]): Way =>
      way(serving, ['10.1.0.11'], '169.254.77.2 tcp 8080')
    const before = leads(way(['10.1.0.11', '10.1.0.12']), port(['10.1.0.11', '10.1.0.12']))
    const after = leads(way(['10.1.0.11']), port(['10.1.0.11']))
    t.same(abandoned(before, after), ['10.1.0.12'])
    t.same(abandoned(before, leads(way(['10.1.0.11', '10.1.0.12']), port(['10.1.0.12']))), [
      '10.1.0.11',
    ])
    t.same(abandoned(after, before), [])
    t.same(texts([halfOpen('10.1.0.12'), halfOpen('fd00::5')]), [
      '-p tcp --state SYN_SENT -f ipv4 --reply-src 10.1.0.12',
      '-p tcp --state SYN_SENT -f ipv6 --reply-src fd00::5',
    ])
    t.end()
  },
)

t.test('a connection that is not answered yet may go on to who serves only', (t) => {
  const begun = flow('tcp', vip, '10.1.0.12').replace('ESTABLISHED', 'SYN_SENT')
  const listing = [begun, flow('tcp', vip, '10.1.0.13')].join('\n')
  const members = ['10.1.0.11', '10.1.0.12', '10.1.0.13']
  t.same(texts(strayFlows(listing, leads(way(['10.1.0.11'], members)))), [
    '-p tcp --state SYN_SENT -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.12',
  ])
  const gone = strayFlows(begun, leads(way(['10.1.0.11'])))
  t.same(texts(gone), ['-p tcp -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.12'])
  t.same(strayFlows(begun, leads(way(['10.1.0.12'], members))), [])
  t.end()
})
