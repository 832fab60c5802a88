import t from 'tap'
import { chooseSubnet } from '../../../../worker/network/choose-subnet.ts'

t.test('a host without private networks gets the first choice', async (t) => {
  t.equal(chooseSubnet([]), '172.30.0.0/16')
  t.equal(chooseSubnet(['default', '0.0.0.0/0', '192.0.2.0/24', '192.0.2.2']), '172.30.0.0/16')
})

t.test(
  'routes and addresses in the way are gone round, also wider ones and those with host bits',
  async (t) => {
    t.equal(chooseSubnet(['172.30.5.7']), '172.29.0.0/16')
    t.equal(chooseSubnet(['172.30.5.0/24', '172.29.1.1/16']), '172.28.0.0/16')
    t.equal(chooseSubnet(['172.16.0.0/12']), '192.168.224.0/20')
  },
)

t.test('when all is taken the error says what to set', async (t) => {
  t.throws(() => chooseSubnet(['172.16.0.0/12', '192.168.0.0/16']), {
    code: 'RESOURCE_EXHAUSTED',
    message: /Set the local subnet/,
  })
})
