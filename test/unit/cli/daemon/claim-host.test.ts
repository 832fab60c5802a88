import t from 'tap'
import { claimHost } from '../../../../cli/daemon/claim-host.ts'

t.test('a host is claimed by one process at a time', async (t) => {
  const name = `\0tsswarm-test-${process.pid}`
  const release = await claimHost(name)
  await t.rejects(claimHost(name), {
    code: 'FAILED_PRECONDITION',
    message: /another tsswarm daemon runs on this host/,
  })
  release()
  const again = await claimHost(name)
  again()
})
