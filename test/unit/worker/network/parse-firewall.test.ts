import t from 'tap'
import {
  parseForwardChains,
  parseRules,
  parseSaved,
} from '../../../../worker/network/parse-firewall.ts'

const chain = (fields: object): object => ({
  chain: { family: 'inet', table: 'fw', name: 'c', type: 'filter', hook: 'forward', ...fields },
})
const nftables = (...entries: readonly object[]): string => JSON.stringify({ nftables: entries })

t.test('only chains of others that packets pass when forwarded count', async (t) => {
  const text = nftables(
    chain({ policy: 'drop' }),
    chain({ name: 'helper', hook: undefined, type: undefined }),
    chain({ table: 'tsswarm' }),
    chain({ family: 'ip6' }),
    chain({ family: 'bridge' }),
    chain({ hook: 'input' }),
    chain({ type: 'nat' }),
    chain({ family: 'ip', table: 'filter', name: 'FORWARD', policy: 'accept' }),
  )
  t.same(parseForwardChains(text), [
    { family: 'inet', table: 'fw', name: 'c', policy: 'drop', siblings: ['c', 'helper', 'c', 'c'] },
    { family: 'ip6', table: 'fw', name: 'c', policy: '', siblings: ['c'] },
    { family: 'ip', table: 'filter', name: 'FORWARD', policy: 'accept', siblings: ['FORWARD'] },
  ])
  t.same(parseForwardChains(''), [])
})

const rule = (handle: number, expr: readonly object[], comment?: string): object => ({
  rule: { handle, expr, ...(comment === undefined ? {} : { comment }) },
})

t.test('a rule drops all when nothing limits it', async (t) => {
  const drops = (...expr: readonly object[]): boolean =>
    parseRules(nftables(rule(1, expr)), 'tsswarm').dropsAll
  t.ok(drops({ drop: null }))
  t.ok(drops({ counter: {} }, { log: {} }, { reject: {} }))
  t.notOk(drops({ match: {} }, { drop: null }))
  t.notOk(drops({ xt: {} }, { drop: null }))
  t.notOk(drops({ accept: null }))
  t.notOk(parseRules('', 'tsswarm').dropsAll)
})

t.test('our rules are known by their comment', async (t) => {
  const text = nftables(
    rule(4, [{ accept: null }], 'tsswarm'),
    rule(5, [{ accept: null }], 'other'),
  )
  t.same(parseRules(text, 'tsswarm').markedHandles, [4])
})

t.test('a saved chain drops by policy or by a rule without condition', async (t) => {
  t.ok(parseSaved('-P FORWARD DROP\n').dropsAll)
  t.ok(parseSaved('-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with x\n').dropsAll)
  t.notOk(parseSaved('-P FORWARD ACCEPT\n-A FORWARD -i eth0 -j DROP\n').dropsAll)
  t.same(parseSaved('-N x\n-A x -i dp0 -j ACCEPT\n').rules, [['-i', 'dp0', '-j', 'ACCEPT']])
})
