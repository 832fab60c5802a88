// Addresses as users write them.
import t from 'tap'
import {
  checkAdvertised,
  chooseAdvertiseHost,
  chooseDataPathAddress,
  formatHostPort,
  localAddress,
  parseHostPort,
} from '../../../../cli/daemon/addresses.ts'

t.test('host and port are split', async (t) => {
  t.same(parseHostPort('10.0.0.1', 2377, '--x'), { host: '10.0.0.1', port: 2377 })
  t.same(parseHostPort('10.0.0.1:99', 2377, '--x'), { host: '10.0.0.1', port: 99 })
  t.same(parseHostPort('[fd00::1]:99', 2377, '--x'), { host: 'fd00::1', port: 99 })
  t.same(parseHostPort('fd00::1', 2377, '--x'), { host: 'fd00::1', port: 2377 })
  t.equal(formatHostPort({ host: 'fd00::1', port: 1 }), '[fd00::1]:1')
  for (const bad of ['a:b:c', 'x:0', 'x:70000', 'a b']) {
    t.throws(() => parseHostPort(bad, 1, '--listen-addr'), {
      code: 'INVALID_ARGUMENT',
      message: /--listen-addr/,
    })
  }
})

t.test('the address to advertise', async (t) => {
  const one = new Map([['eth0', ['10.0.0.1', 'fd00::1']]])
  const two = new Map([...one, ['eth1', ['10.1.0.1']]])
  t.equal(chooseAdvertiseHost('', one), '10.0.0.1')
  t.equal(chooseAdvertiseHost('eth1', two), '10.1.0.1')
  t.equal(chooseAdvertiseHost('192.0.2.9', two), '192.0.2.9')
  t.throws(() => chooseAdvertiseHost('', two), {
    message: /multiple addresses .*10\.1\.0\.1 on eth1/,
  })
  t.throws(() => chooseAdvertiseHost('', new Map()), {
    message: /could not choose an IP address to advertise/,
  })
  t.throws(() => chooseAdvertiseHost('nope', one), {
    message: /neither an IP address nor an interface/,
  })
})

t.test('what is advertised must be listened on', async (t) => {
  const at = (host: string, port = 2377) => ({ host, port })
  t.doesNotThrow(() => checkAdvertised(at('10.0.0.1'), at('0.0.0.0')))
  t.doesNotThrow(() => checkAdvertised(at('fd00::1'), at('::')))
  t.doesNotThrow(() => checkAdvertised(at('10.0.0.1'), at('10.0.0.1')))
  t.throws(() => checkAdvertised(at('10.0.0.1', 4377), at('0.0.0.0')), {
    code: 'INVALID_ARGUMENT',
    message: /--advertise-addr names port 4377, but the node listens on 2377: .*--listen-addr/,
  })
  t.throws(() => checkAdvertised(at('10.0.0.1'), at('127.0.0.1')), {
    code: 'INVALID_ARGUMENT',
    message: /would listen on 127\.0\.0\.1:2377 only.*--listen-addr 0\.0\.0\.0:2377/,
  })
})

t.test('a manager of this host is reached where it listens', async (t) => {
  t.equal(localAddress('0.0.0.0:2377'), '127.0.0.1:2377')
  t.equal(localAddress('[::]:4000'), '[::1]:4000')
  t.equal(localAddress('10.0.0.1:2377'), '10.0.0.1:2377')
})

t.test('the data path has an address of this host, or the advertised one', async (t) => {
  const addresses = new Map([
    ['eth0', ['192.0.2.1']],
    ['eth1', ['198.51.100.1', 'fd00::1']],
  ])
  t.equal(chooseDataPathAddress('', addresses), '')
  t.equal(chooseDataPathAddress('eth1', addresses), '198.51.100.1')
  t.equal(chooseDataPathAddress('fd00::1', addresses), 'fd00::1')
  t.throws(() => chooseDataPathAddress('203.0.113.9', addresses), {
    code: 'INVALID_ARGUMENT',
    message:
      /--data-path-addr "203\.0\.113\.9" is neither .* of this host \(eth0: 192\.0\.2\.1; eth1:/,
  })
})
