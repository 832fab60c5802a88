// A node whose local network meets a network of the cluster says so.
import t from 'tap'
import { subnetClashes } from '../../../../worker/network/subnet-clash.ts'
import { aNetwork, aView } from '../../../support/overlay-builders.ts'

t.test('one condition for each network that the local one meets', async (t) => {
  const views = [
    aView(aNetwork(1)),
    aView(aNetwork(2, { subnets: ['172.30.8.0/24', 'fd00:2::/64'] })),
  ]
  t.match(subnetClashes('172.30.0.0/16', views), [
    {
      code: 'SUBNET_CLASH',
      message: /172\.30\.0\.0\/16 meets 172\.30\.8\.0\/24 of network "net2"/,
    },
  ])
  t.same(subnetClashes('172.29.0.0/16', views), [])
})
