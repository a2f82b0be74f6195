// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// A lending market of our own with the published interface of Compound III: no package ships the
/// venue's contracts. It keeps indices, principals and flags as that interface tells them, so that
/// what the reader asks for, and how it reads the answers, is tried on a chain.

interface IPriceFeed {
  function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

contract NamedToken {
  string public symbol;
  uint8 public immutable decimals;

  constructor(string memory name, uint8 digits) {
    (symbol, decimals) = (name, digits);
  }
}

contract CometByInterface {
  struct AssetInfo {
    uint8 offset;
    address asset;
    address priceFeed;
    uint64 scale;
    uint64 borrowCollateralFactor;
    uint64 liquidateCollateralFactor;
    uint64 liquidationFactor;
    uint128 supplyCap;
  }

  struct Totals {
    uint64 baseSupplyIndex;
    uint64 baseBorrowIndex;
    uint64 trackingSupplyIndex;
    uint64 trackingBorrowIndex;
    uint104 totalSupplyBase;
    uint104 totalBorrowBase;
    uint40 lastAccrualTime;
    uint8 pauseFlags;
  }

  struct Basic {
    int104 principal;
    uint64 baseTrackingIndex;
    uint64 baseTrackingAccrued;
    uint16 assetsIn;
    uint8 _reserved;
  }

  struct Held {
    uint128 balance;
    uint128 _reserved;
  }

  struct Curve {
    uint256 base;
    uint256 low;
    uint256 high;
    uint256 kink;
  }

  uint256 private constant WAD = 1e18;
  uint256 private constant INDEX = 1e15;
  string public version = '0';

  address public immutable baseToken;
  address public immutable baseTokenPriceFeed;
  uint256 public immutable baseScale;
  uint256 public baseBorrowMin = 100;
  uint256 public storeFrontPriceFactor = 6e17;
  uint256 public targetReserves = 5e12;
  AssetInfo[] private infos;
  Curve private supplyCurve;
  Curve private borrowCurve;
  Totals public totalsBasic;
  mapping(address => Basic) public userBasic;
  mapping(address => mapping(address => Held)) public userCollateral;
  mapping(address => Held) public totalsCollateral;

  event Supply(address indexed from, address indexed dst, uint256 amount);
  event Transfer(address indexed from, address indexed to, uint256 amount);
  event Withdraw(address indexed src, address indexed to, uint256 amount);
  event SupplyCollateral(
    address indexed from,
    address indexed dst,
    address indexed asset,
    uint256 amount
  );
  event WithdrawCollateral(
    address indexed src,
    address indexed to,
    address indexed asset,
    uint256 amount
  );
  event AbsorbDebt(
    address indexed absorber,
    address indexed borrower,
    uint256 basePaidOut,
    uint256 usdValue
  );
  event AbsorbCollateral(
    address indexed absorber,
    address indexed borrower,
    address indexed asset,
    uint256 collateralAbsorbed,
    uint256 usdValue
  );

  error NotLiquidatable();
  error NotCollateralized();
  error Paused();
  error BadPrice();

  constructor(address token, address feed, uint8 digits, string memory release) {
    (baseToken, baseTokenPriceFeed, baseScale) = (token, feed, 10 ** digits);
    version = release;
    totalsBasic.baseSupplyIndex = totalsBasic.baseBorrowIndex = uint64(INDEX);
    totalsBasic.lastAccrualTime = uint40(block.timestamp);
  }

  // What the tests set.

  function list(address asset, address feed, uint64 scale) external {
    infos.push(
      AssetInfo(uint8(infos.length), asset, feed, scale, 75e16, 80e16, 90e16, type(uint128).max)
    );
  }

  function setFactors(uint256 place, uint64 borrow, uint64 liquidate, uint64 liquidation) external {
    infos[place].borrowCollateralFactor = borrow;
    infos[place].liquidateCollateralFactor = liquidate;
    infos[place].liquidationFactor = liquidation;
  }

  function setCurves(Curve calldata supply_, Curve calldata borrow_) external {
    accrue();
    (supplyCurve, borrowCurve) = (supply_, borrow_);
  }

  function pauseAbsorb(bool paused) external {
    totalsBasic.pauseFlags = paused ? 8 : 0;
  }

  // What the venue tells.

  function numAssets() external view returns (uint8) {
    return uint8(infos.length);
  }

  function getAssetInfo(uint8 place) external view returns (AssetInfo memory) {
    return infos[place];
  }

  function getPrice(address feed) public view returns (uint256) {
    (, int256 price, , , ) = IPriceFeed(feed).latestRoundData();
    if (price <= 0) revert BadPrice();
    return uint256(price);
  }

  function isAbsorbPaused() external view returns (bool) {
    return totalsBasic.pauseFlags & 8 != 0;
  }

  function supplyKink() external view returns (uint256) {
    return supplyCurve.kink;
  }

  function supplyPerSecondInterestRateBase() external view returns (uint256) {
    return supplyCurve.base;
  }

  function supplyPerSecondInterestRateSlopeLow() external view returns (uint256) {
    return supplyCurve.low;
  }

  function supplyPerSecondInterestRateSlopeHigh() external view returns (uint256) {
    return supplyCurve.high;
  }

  function borrowKink() external view returns (uint256) {
    return borrowCurve.kink;
  }

  function borrowPerSecondInterestRateBase() external view returns (uint256) {
    return borrowCurve.base;
  }

  function borrowPerSecondInterestRateSlopeLow() external view returns (uint256) {
    return borrowCurve.low;
  }

  function borrowPerSecondInterestRateSlopeHigh() external view returns (uint256) {
    return borrowCurve.high;
  }

  function borrowBalanceOf(address account) external view returns (uint256) {
    int256 principal = userBasic[account].principal;
    (, uint256 index) = grown();
    return principal < 0 ? (uint256(-principal) * index) / INDEX : 0;
  }

  function isLiquidatable(address account) public view returns (bool) {
    return userBasic[account].principal < 0 && !covers(account, true);
  }

  function isBorrowCollateralized(address account) public view returns (bool) {
    return userBasic[account].principal >= 0 || covers(account, false);
  }

  // What people do.

  function accrueAccount(address) external {
    accrue();
  }

  function supplyTo(address dst, address asset, uint128 amount) external {
    accrue();
    if (asset == baseToken) {
      move(dst, int256(uint256(amount)));
      emit Supply(msg.sender, dst, amount);
    } else {
      hold(dst, asset, int256(uint256(amount)));
      emit SupplyCollateral(msg.sender, dst, asset, amount);
    }
  }

  function withdraw(address asset, uint128 amount) external {
    accrue();
    if (asset == baseToken) {
      move(msg.sender, -int256(uint256(amount)));
      emit Withdraw(msg.sender, msg.sender, amount);
    } else {
      hold(msg.sender, asset, -int256(uint256(amount)));
      emit WithdrawCollateral(msg.sender, msg.sender, asset, amount);
    }
    if (!isBorrowCollateralized(msg.sender)) revert NotCollateralized();
  }

  function transfer(address dst, uint128 amount) external {
    accrue();
    move(msg.sender, -int256(uint256(amount)));
    move(dst, int256(uint256(amount)));
    if (!isBorrowCollateralized(msg.sender)) revert NotCollateralized();
    emit Transfer(msg.sender, dst, amount);
  }

  function absorb(address absorber, address[] calldata accounts) external {
    if (totalsBasic.pauseFlags & 8 != 0) revert Paused();
    accrue();
    for (uint256 i = 0; i < accounts.length; ++i) {
      if (!isLiquidatable(accounts[i])) revert NotLiquidatable();
      absorbOne(absorber, accounts[i]);
    }
  }

  function absorbOne(address absorber, address account) private {
    uint256 credit;
    for (uint256 i = 0; i < infos.length; ++i) {
      AssetInfo memory info = infos[i];
      uint256 amount = userCollateral[account][info.asset].balance;
      if (amount == 0) continue;
      uint256 worth = (amount * getPrice(info.priceFeed)) / info.scale;
      credit += (worth * info.liquidationFactor) / WAD;
      hold(account, info.asset, -int256(amount));
      emit AbsorbCollateral(absorber, account, info.asset, amount, worth);
    }
    uint256 price = getPrice(baseTokenPriceFeed);
    int256 before = present(userBasic[account].principal);
    int256 left = before + int256((credit * baseScale) / price);
    if (left < 0) left = 0;
    move(account, left - before);
    uint256 paid = uint256(left - before);
    emit AbsorbDebt(absorber, account, paid, (paid * price) / baseScale);
    if (userBasic[account].principal > 0) emit Transfer(address(0), account, uint256(left));
  }

  // How it keeps the books.

  function held(address account, uint256 place) private view returns (bool) {
    Basic memory basic = userBasic[account];
    return ((uint256(basic._reserved) << 16) | basic.assetsIn) & (1 << place) != 0;
  }

  function covers(address account, bool forLiquidation) private view returns (bool) {
    int256 price = int256(getPrice(baseTokenPriceFeed));
    int256 sum = (present(userBasic[account].principal) * price) / int256(baseScale);
    for (uint256 i = 0; i < infos.length && sum < 0; ++i) {
      if (!held(account, i)) continue;
      AssetInfo memory info = infos[i];
      uint256 amount = userCollateral[account][info.asset].balance;
      uint256 worth = (amount * getPrice(info.priceFeed)) / info.scale;
      uint256 factor = forLiquidation ? info.liquidateCollateralFactor : info.borrowCollateralFactor;
      sum += int256((worth * factor) / WAD);
    }
    return sum >= 0;
  }

  function present(int256 principal) private view returns (int256) {
    uint256 index = principal < 0 ? totalsBasic.baseBorrowIndex : totalsBasic.baseSupplyIndex;
    return (principal * int256(index)) / int256(INDEX);
  }

  function rate(Curve memory curve, uint256 used) private pure returns (uint256) {
    uint256 below = used < curve.kink ? used : curve.kink;
    return curve.base + (curve.low * below) / WAD + (curve.high * (used - below)) / WAD;
  }

  function grown() private view returns (uint256 supplied, uint256 borrowed) {
    (supplied, borrowed) = (totalsBasic.baseSupplyIndex, totalsBasic.baseBorrowIndex);
    uint256 time = block.timestamp - totalsBasic.lastAccrualTime;
    if (time == 0) return (supplied, borrowed);
    uint256 lent = (totalsBasic.totalSupplyBase * supplied) / INDEX;
    uint256 owed = (totalsBasic.totalBorrowBase * borrowed) / INDEX;
    uint256 used = lent == 0 ? 0 : (owed * WAD) / lent;
    supplied += (supplied * (rate(supplyCurve, used) * time)) / WAD;
    borrowed += (borrowed * (rate(borrowCurve, used) * time)) / WAD;
  }

  function accrue() private {
    (uint256 supplied, uint256 borrowed) = grown();
    totalsBasic.baseSupplyIndex = uint64(supplied);
    totalsBasic.baseBorrowIndex = uint64(borrowed);
    totalsBasic.lastAccrualTime = uint40(block.timestamp);
  }

  function move(address account, int256 change) private {
    int256 old = userBasic[account].principal;
    int256 balance = present(old) + change;
    int256 index = int256(
      uint256(balance < 0 ? totalsBasic.baseBorrowIndex : totalsBasic.baseSupplyIndex)
    );
    int256 next = balance < 0
      ? -((-balance * int256(INDEX) + index - 1) / index)
      : (balance * int256(INDEX)) / index;
    userBasic[account].principal = int104(next);
    int256 supplied = (next > 0 ? next : int256(0)) - (old > 0 ? old : int256(0));
    int256 borrowed = (old < 0 ? old : int256(0)) - (next < 0 ? next : int256(0));
    totalsBasic.totalSupplyBase = uint104(
      uint256(int256(uint256(totalsBasic.totalSupplyBase)) + supplied)
    );
    totalsBasic.totalBorrowBase = uint104(
      uint256(int256(uint256(totalsBasic.totalBorrowBase)) + borrowed)
    );
  }

  function hold(address account, address asset, int256 change) private {
    Held storage own = userCollateral[account][asset];
    int256 next = int256(uint256(own.balance)) + change;
    require(next >= 0, 'not held');
    own.balance = uint128(uint256(next));
    totalsCollateral[asset].balance = uint128(
      uint256(int256(uint256(totalsCollateral[asset].balance)) + change)
    );
    uint256 place = 0;
    while (infos[place].asset != asset) ++place;
    Basic storage basic = userBasic[account];
    uint256 flags = (uint256(basic._reserved) << 16) | basic.assetsIn;
    flags = next > 0 ? flags | (1 << place) : flags & ~(1 << place);
    (basic.assetsIn, basic._reserved) = (uint16(flags), uint8(flags >> 16));
  }
}
