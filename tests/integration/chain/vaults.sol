// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

// Vaults of our own with the published interfaces of Maker's contracts: no package ships them. They
// keep what the interfaces tell, make the notes that the vat makes, and refuse in its words, so
// that what the reader asks for, and how it reads the answers, is tried on a chain.

uint256 constant RAY = 1e27;
uint256 constant WAD = 1e18;

contract Symbol {
  string public symbol;

  constructor(string memory name) {
    symbol = name;
  }
}

contract Join {
  address public immutable gem;

  constructor(address token) {
    gem = token;
  }
}

contract Chainlog {
  mapping(bytes32 => address) private places;

  function set(bytes32 key, address place) external {
    places[key] = place;
  }

  function getAddress(bytes32 key) external view returns (address place) {
    place = places[key];
    require(place != address(0), 'dss-chain-log/invalid-key');
  }
}

contract Proxies {
  mapping(address => address) public proxies;

  function set(address owner, address proxy) external {
    proxies[owner] = proxy;
  }
}

contract GetCdps {
  address public immutable manager;
  mapping(address => uint256[]) private ids;
  mapping(address => address[]) private urns;
  mapping(address => bytes32[]) private ilks;

  constructor(address manager_) {
    manager = manager_;
  }

  function add(address owner, uint256 id, address urn, bytes32 ilk) external {
    ids[owner].push(id);
    urns[owner].push(urn);
    ilks[owner].push(ilk);
  }

  function getCdpsAsc(address manager_, address owner)
    external
    view
    returns (uint256[] memory, address[] memory, bytes32[] memory)
  {
    require(manager_ == manager, 'another manager');
    return (ids[owner], urns[owner], ilks[owner]);
  }
}

contract Vat {
  struct Kind {
    uint256 Art;
    uint256 rate;
    uint256 spot;
    uint256 line;
    uint256 dust;
  }

  struct Urn {
    uint256 ink;
    uint256 art;
  }

  mapping(bytes32 => Kind) public ilks;
  mapping(bytes32 => mapping(address => Urn)) public urns;

  modifier note() {
    _;
    bytes memory data = abi.encode(abi.encodePacked(msg.data, new bytes(224 - msg.data.length)));
    bytes32 selector = bytes32(msg.sig);
    assembly {
      log4(add(data, 32), mload(data), selector, calldataload(4), calldataload(36), calldataload(68))
    }
  }

  function init(bytes32 ilk, uint256 dust) external {
    (ilks[ilk].rate, ilks[ilk].dust) = (RAY, dust);
  }

  function setRate(bytes32 ilk, uint256 rate) external {
    ilks[ilk].rate = rate;
  }

  function setSpot(bytes32 ilk, uint256 spot) external {
    ilks[ilk].spot = spot;
  }

  function frob(bytes32 i, address u, address, address, int256 dink, int256 dart) external note {
    Kind storage kind = ilks[i];
    change(i, u, dink, dart);
    Urn memory urn = urns[i][u];
    uint256 tab = kind.rate * urn.art;
    require((dart <= 0 && dink >= 0) || tab <= urn.ink * kind.spot, 'Vat/not-safe');
    require(urn.art == 0 || tab >= kind.dust, 'Vat/dust');
  }

  function fork(bytes32 i, address src, address dst, int256 dink, int256 dart) external note {
    change(i, src, -dink, -dart);
    change(i, dst, dink, dart);
    Kind memory kind = ilks[i];
    for (uint256 n = 0; n < 2; ++n) {
      Urn memory urn = urns[i][n == 0 ? src : dst];
      require(urn.art * kind.rate <= urn.ink * kind.spot, 'Vat/not-safe');
      require(urn.art == 0 || urn.art * kind.rate >= kind.dust, 'Vat/dust');
    }
  }

  function grab(bytes32 i, address u, address, address, int256 dink, int256 dart) external note {
    change(i, u, dink, dart);
  }

  function change(bytes32 i, address u, int256 dink, int256 dart) private {
    Urn storage urn = urns[i][u];
    (int256 ink, int256 art) = (int256(urn.ink) + dink, int256(urn.art) + dart);
    require(ink >= 0 && art >= 0, 'Vat/negative');
    (urn.ink, urn.art) = (uint256(ink), uint256(art));
  }
}

contract Spotter {
  struct Kind {
    address pip;
    uint256 mat;
  }

  Vat private immutable vat;
  mapping(bytes32 => Kind) public ilks;
  mapping(bytes32 => uint256) public price;
  uint256 public par = RAY;

  constructor(Vat vat_) {
    vat = vat_;
  }

  function set(bytes32 ilk, uint256 mat, uint256 price_, uint256 par_) external {
    (ilks[ilk].mat, price[ilk], par) = (mat, price_, par_);
  }

  function poke(bytes32 ilk) external {
    uint256 feed = (price[ilk] * 1e9 * RAY) / par;
    vat.setSpot(ilk, (feed * RAY) / ilks[ilk].mat);
  }
}

contract Jug {
  struct Kind {
    uint256 duty;
    uint256 rho;
  }

  Vat private immutable vat;
  mapping(bytes32 => Kind) public ilks;
  uint256 public base;

  constructor(Vat vat_) {
    vat = vat_;
  }

  function set(bytes32 ilk, uint256 duty, uint256 base_) external {
    if (ilks[ilk].rho != 0) drip(ilk);
    (ilks[ilk].duty, ilks[ilk].rho, base) = (duty, block.timestamp, base_);
  }

  function drip(bytes32 ilk) public returns (uint256 rate) {
    (, uint256 old, , , ) = vat.ilks(ilk);
    rate = (power(ilks[ilk].duty + base, block.timestamp - ilks[ilk].rho) * old) / RAY;
    vat.setRate(ilk, rate);
    ilks[ilk].rho = block.timestamp;
  }

  function power(uint256 x, uint256 n) private pure returns (uint256 z) {
    for (z = RAY; n != 0; n /= 2) {
      if (n % 2 != 0) z = (z * x + RAY / 2) / RAY;
      x = (x * x + RAY / 2) / RAY;
    }
  }
}

contract Stairs {
  uint256 public step = 90;
  uint256 public cut = 99e25;
}

contract Slope {
  uint256 public tau = 21600;
}

contract Decay {
  uint256 public cut = 999e24;
}

contract Clip {
  uint256 public buf = 12e26;
  uint256 public tail = 7200;
  uint256 public cusp = 4e26;
  uint256 public stopped;
  address public immutable calc;

  constructor(address curve) {
    calc = curve;
  }

  function stop(uint256 level) external {
    stopped = level;
  }

  function kick() external view returns (uint256) {
    require(stopped < 1, 'Clipper/stopped-incorrect');
    return 1;
  }
}

contract Dog {
  struct Kind {
    address clip;
    uint256 chop;
    uint256 hole;
    uint256 dirt;
  }

  Vat private immutable vat;
  mapping(bytes32 => Kind) public ilks;
  uint256 public Hole;
  uint256 public Dirt;
  uint256 public live = 1;

  constructor(Vat vat_) {
    vat = vat_;
  }

  function set(bytes32 ilk, address clip, uint256 chop, uint256 hole, uint256 all) external {
    (ilks[ilk].clip, ilks[ilk].chop, ilks[ilk].hole, Hole) = (clip, chop, hole, all);
  }

  function cage(uint256 live_) external {
    live = live_;
  }

  function digs(bytes32 ilk) external {
    Dirt -= ilks[ilk].dirt;
    ilks[ilk].dirt = 0;
  }

  function bark(bytes32 ilk, address urn, address) external returns (uint256) {
    require(live == 1, 'Dog/not-live');
    (uint256 ink, uint256 art) = vat.urns(ilk, urn);
    (, uint256 rate, uint256 spot, , uint256 dust) = vat.ilks(ilk);
    Kind storage kind = ilks[ilk];
    require(spot > 0 && ink * spot < art * rate, 'Dog/not-unsafe');
    require(Hole > Dirt && kind.hole > kind.dirt, 'Dog/liquidation-limit-hit');
    uint256 room = kind.hole - kind.dirt;
    if (Hole - Dirt < room) room = Hole - Dirt;
    uint256 dart = (room * WAD) / rate / kind.chop;
    if (dart >= art) dart = art;
    else if ((art - dart) * rate < dust) dart = art;
    else require(dart * rate >= dust, 'Dog/dusty-auction-from-partial-liquidation');
    uint256 dink = (ink * dart) / art;
    require(dink > 0, 'Dog/null-auction');
    vat.grab(ilk, urn, kind.clip, address(this), -int256(dink), -int256(dart));
    uint256 tab = (dart * rate * kind.chop) / WAD;
    Dirt += tab;
    kind.dirt += tab;
    return Clip(kind.clip).kick();
  }
}
